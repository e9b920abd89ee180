"""The whole chain once, tiny: from nothing to figure, table and report, and what is made again after a change."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from imports import ROOT
from mettle import tables

pytestmark = pytest.mark.workflow

CONFIG = {
    "seed": 0,
    "attack": {"attacks": {"pgd2": {"method": "pgd", "norm": "l2", "eps": 0.5, "steps": 2, "datasets": ["digits"]}}},
    "represent": {"sample": 100},
    "compare": {"measures": {"cka": {}, "near": {"method": "jaccard", "k": 3}}, "draws": 2},
    "figures": {
        "accuracy": {"datasets": ["digits"]},
        "fig5": {"dataset": "digits", "eps": [0, 1], "measures": ["cka", "near"], "resamples": 99},
    },
}
PLAIN = {
    "epochs": 1,
    "batch_size": 64,
    "optimizer": {"name": "adamw", "lr": 0.004, "weight_decay": 0.05},
    "schedule": {"name": "cosine"},
    "input": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3},
}
ROBUST = {"extends": "plain", "loss": "adversarial", "attack": {"norm": "l2", "eps": 1.0, "steps": 1}}
MODELS = [("resnet8", "plain", 0), ("resnet8", "plain", 1), ("vgg5", "plain", 0), ("resnet8", "robust", 0)]
MODELS += [("resnet8", "robust", 1)]
FIGURES = ["results/figures/fig5.pdf", "results/figures/fig5.png"]
TARGETS = [FIGURES[0], "results/tables/accuracy.parquet"]


def snakemake(folder, *arguments):
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "SNAKEMAKE"))}
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


def made(text):
    """Rule and output of each job of a dry run."""
    return {
        (rule, outputs.split(",")[0])
        for rule, outputs in re.findall(r"^rule (\w+):\n.*?^    output: (.*?)$", text, re.MULTILINE | re.DOTALL)
    }


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    for name in ("workflow", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "config" / "recipes").mkdir(parents=True)
    shutil.copy(ROOT / "config" / "datasets.tsv", folder / "config")
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    for name, recipe in (("plain", PLAIN), ("robust", ROBUST)):
        (folder / "config" / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    lines = ["model\tdataset\tarch\trecipe\tthreat\teps\tseed\tsource"]
    for arch, recipe, seed in MODELS:
        threat = "l2\t1" if recipe == "robust" else "none\t0"
        lines.append(f"{arch}-{recipe}-s{seed}\tdigits\t{arch}\t{recipe}\t{threat}\t{seed}\ttrain")
    (folder / "config" / "models.tsv").write_text("\n".join(lines) + "\n")
    snakemake(folder, *TARGETS)
    return folder


def test_chain_makes_figure_and_tables_and_then_nothing_again(tree):
    assert all((tree / path).stat().st_size > 1000 for path in FIGURES)
    accuracy = tables.read(tree / TARGETS[1], tables.ACCURACY)
    assert len(accuracy) == 2 * len(MODELS) and accuracy["value"].between(0, 1).all()
    rows = tables.read(tree / "results/tables/fig5.parquet", tables.FIG5)
    # Four pairs, two measures, four groups; then two contrasts per measure and eps.
    assert len(rows[rows["model"] != "all"]) == 4 * 2 * 4
    assert len(rows[rows["model"] == "all"]) == 2 * 2 * 2
    # One robust pair cannot be tested, so the figure was drawn with missing values.
    assert rows["p"].isna().any() and rows.loc[rows["value"].isna(), "note"].notna().all()
    assert "Nothing to be done" in snakemake(tree, *TARGETS)


def test_a_changed_model_makes_exactly_its_cells_again(tree):
    weights = tree / "results/train/resnet8-plain-s1/weights.safetensors"
    before, content = weights.stat(), weights.read_bytes()
    weights.touch()
    assert "Nothing to be done" in snakemake(tree, "-n", *TARGETS)  # newer, but the same bytes
    weights.write_bytes(content + b"x")
    found = made(snakemake(tree, "-n", *TARGETS))
    weights.write_bytes(content)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    model = "resnet8-plain-s1"
    expected = {("attack", f"results/attack/digits/{model}/pgd2.parquet")}
    expected |= {("represent", f"results/represent/digits/natural/{model}.parquet")}
    # Its own row, and that of the one model below it which is compared with it.
    below = ("resnet8-plain-s1", "vgg5-plain-s0")
    for measure in ("cka", "near"):
        where = f"results/subgroups/digits/natural/agreement/{measure}"
        expected |= {("subgroups", f"{where}/{name}.parquet") for name in below}
    expected |= {("tabulate_figure", TARGETS[1]), ("tabulate_figure", "results/tables/fig5.parquet")}
    assert found == expected | {("figure", FIGURES[0])}


def test_a_forced_rule_draws_the_same_bytes(tree):
    before = [(tree / path).read_bytes() for path in FIGURES]
    text = snakemake(tree, "--forcerun", "figure", "--", FIGURES[0])
    assert {rule for rule, _ in made(text)} <= {"figure"} and "rule figure:" in text
    assert [(tree / path).read_bytes() for path in FIGURES] == before


def test_report_holds_the_captions(tree):
    snakemake(tree, "--report", "results/report.html", *TARGETS)
    text = (tree / "results/report.html").read_text()
    assert "Representational similarity of pairs of models" in text
    assert "Clean and attacked accuracy of every model" in text
