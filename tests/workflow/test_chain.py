"""The whole chain once, tiny: from nothing to figure and table, and what is made again after a change."""

import os
import re

import pytest

import trees
from mettle import tables
from mettle.plan.figures import FIGURES
from trees import succeeded

pytestmark = pytest.mark.workflow

CONFIG = {
    "seed": 0,
    "attack": {"attacks": {"pgd2": {"method": "pgd", "norm": "l2", "eps": 0.5, "steps": 2}}},
    "corrupt": {
        "corruptions": {"few": {"types": ["fog", "contrast"], "severities": [3], "images": 12, "stored": True}}
    },
    "invert": {"images": 12, "steps": 3},
    "represent": {"sample": 100},
    "compare": {"measures": {"cka": {}, "near": {"method": "jaccard", "k": 3}}, "draws": 2, "permutations": 19},
    "probe": {"probes": 2, "epochs": 1},
    "figures": {
        "accuracy": {"evaluations": [{"datasets": ["digits"], "attacks": ["pgd2"]}]},
        "fig5": {"dataset": "digits", "eps": [0, 1], "measures": ["cka", "near"], "resamples": 99},
        "fig1": {"dataset": "digits", "models": ["my.net_v2"], "examples": 2},
        "fig3": {"datasets": ["digits"], "eps": [1], "measures": ["cka"]},
        "fig4": {"datasets": ["digits"], "eps": [0]},
        "fig6": {"dataset": "digits", "eps": [1]},
        "fig13": {"datasets": ["digits"], "eps": [1]},
        "atlas": {"dataset": "digits", "models": {"seed": 0}, "measure": "near", "shows": "calibrated"},
    },
}
ROBUST = {"extends": "plain", "loss": "adversarial", "attack": {"norm": "l2", "eps": 1.0, "steps": 1}}
MODELS = [("resnet8", "plain", 0), ("resnet8", "plain", 1), ("vgg5", "plain", 0)]
MODELS += [("resnet8", "robust", 0, "my.net_v2"), ("resnet8", "robust", 1)]
DRAWN = ["results/figures/fig5.pdf", "results/figures/fig5.png"]
TARGETS = [DRAWN[0], "results/tables/accuracy.parquet"]


def snakemake(folder, *arguments):
    return succeeded(trees.snakemake(folder, "--cores", "1", *arguments))


def made(text):
    """Rule and output of each job of a dry run."""
    return {
        (rule, outputs.split(",")[0])
        for rule, outputs in re.findall(r"^rule (\w+):\n.*?^    output: (.*?)$", text, re.MULTILINE | re.DOTALL)
    }


def plant(folder):
    """The workflow with its tiny configuration in an empty folder."""
    return trees.plant(folder, CONFIG, {"plain": trees.PLAIN, "robust": ROBUST}, MODELS)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    plant(folder)
    snakemake(folder, *TARGETS)
    return folder


def test_chain_makes_figure_and_tables_and_then_nothing_again(tree):
    assert all((tree / path).stat().st_size > 1000 for path in DRAWN)
    accuracy = tables.read(tree / TARGETS[1], FIGURES["accuracy"].table)
    # Clean, attacked, and the worst case of all attacks, which are one here.
    assert len(accuracy) == 3 * len(MODELS) and accuracy["value"].between(0, 1).all()
    rows = tables.read(tree / "results/tables/fig5.parquet", FIGURES["fig5"].table)
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
        where = f"results/subgroups/digits/group/natural/agreement/{measure}"
        expected |= {("subgroups", f"{where}/{name}.parquet") for name in below}
    expected |= {("tabulate_figure", TARGETS[1]), ("tabulate_figure", "results/tables/fig5.parquet")}
    assert found == expected | {("figure", DRAWN[0])}


def test_an_atlas_is_of_all_pairs_across_eps_and_calibrated(tree):
    snakemake(tree, "results/figures/atlas.pdf")
    table = tables.read(tree / "results/tables/atlas.parquet", FIGURES["atlas"].table)
    assert {*table["model"], *table["model_b"]} == {"resnet8-plain-s0", "vgg5-plain-s0", "my.net_v2"}
    assert len(table) == 3 and {*table["place"], *table["place_b"]} == {0, 1, 2} and table["eps"].isna().all()
    assert table["p"].between(1 / 20, 1).all() and table["calibrated"].between(0, 1).all()
    assert (tree / "results/figures/atlas.png").stat().st_size > 1000


def test_another_folder_of_results_stands_beside_over_the_same_stores_and_weights(tree):
    where, cell = "results/other", "represent/digits/natural/resnet8-plain-s0"
    snakemake(tree, "--config", f"results={where}", "--", f"{where}/{cell}.parquet")
    assert (tree / f"{where}/{cell}.parquet").read_bytes() == (tree / f"results/{cell}.parquet").read_bytes()
    assert (tree / f"{where}/logs/{cell}.log").exists() and (tree / f"{where}/benchmarks/{cell}.tsv").exists()
    figure = f"{where}/figures/fig5.pdf"
    planned = {rule for rule, _ in made(snakemake(tree, "-n", "--config", f"results={where}", "--", figure))}
    assert planned == {"represent", "subgroups", "tabulate_figure", "figure"}
    assert "Nothing to be done" in snakemake(tree, *TARGETS)


def test_inversion_probes_and_agreement_run_from_store_to_figure(tree):
    figures = ("fig1", "fig3", "fig4", "fig6", "fig13")
    snakemake(tree, *(f"results/figures/{figure}.pdf" for figure in figures))
    assert all((tree / f"results/figures/{figure}.png").stat().st_size > 1000 for figure in figures)
    found = {name: tables.read(tree / f"results/tables/{name}.parquet", FIGURES[name].table) for name in figures}
    assert found["fig1"]["measure"].tolist() == ["seed", "target"] * 2 + ["inverted"] * 2
    assert found["fig1"]["label"].tolist()[-2:] == ["my.net_v2"] * 2
    one, two = "my.net_v2", "resnet8-robust-s1"
    directed = found["fig3"].iloc[:2]
    assert directed[["images", "model", "model_b"]].to_numpy().tolist() == [
        [f"inverted-{two}", two, one],
        [f"inverted-{one}", one, two],
    ]
    assert (directed["n"] == 12).all() and directed["baseline"].notna().all() and directed["floor"].notna().all()
    assert {"ambiguity", "discrepancy", "agreement_upper", "jsd"} <= set(found["fig4"]["measure"])
    assert set(found["fig6"]["images"]) == {"natural", "train"} and set(found["fig6"]["measure"]) == {
        "pretrained",
        "probe",
    }
    manifest = tables.read(tree / f"results/invert/digits/{one}.parquet", tables.INVERTED)
    assert (manifest["loss"] <= manifest["start_loss"]).all() and len(manifest) == 12
    pairs = tables.read(tree / "results/pairs/digits.parquet", tables.PAIRS)
    assert (pairs["label"] != pairs["seed_label"]).all() and manifest["seed_id"].tolist() == pairs["seed_id"].tolist()


def test_a_forced_rule_draws_the_same_bytes(tree):
    before = [(tree / path).read_bytes() for path in DRAWN]
    text = snakemake(tree, "--forcerun", "figure", "--", DRAWN[0])
    assert {rule for rule, _ in made(text)} <= {"figure"} and "rule figure:" in text
    assert [(tree / path).read_bytes() for path in DRAWN] == before
