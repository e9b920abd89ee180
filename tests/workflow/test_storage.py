"""Results in a storage: every stage writes there and reads from there, and nothing else of the workflow goes there."""

import os
import re
import shutil

import pytest
import torch

import trees
from imports import ROOT
from mettle import models, tables
from mettle.plan.figures import FIGURES
from trees import said, snakemake, succeeded

pytestmark = pytest.mark.workflow

ATTACK = {"method": "pgd", "norm": "linf", "eps": "8/255", "steps": 1, "images": 20}
TRAINED = ["resnet8-plain-s0", "resnet8-plain-s1"]
GIVEN = "resnet8-given-s0"
CONFIG = {
    "attack": {
        "attacks": {"pgd": ATTACK, "by_eps": {**ATTACK, "grid": {"eps": ["8/255"]}}},
        "effectiveness": {"norm": "linf", "eps": "8/255", "steps": [1, 2], "seeds": 1, "images": 20},
    },
    "invert": {"images": 12, "steps": 1},
    "represent": {"sample": 50},
    "compare": {"measures": {"cka": {}}, "floor": False, "permutations": 0},
    "probe": {"probes": 1, "epochs": 1},
    "figures": {
        "fig7": {"dataset": "digits", "models": TRAINED[:1]},
        "published": {"attack": "by_eps", "numbers": "given/published.tsv"},
    },
}
NUMBERS = f"model\tnorm\teps\timages\tclean\tautoattack\tsource\n{GIVEN}\tlinf\t8/255\tdigits\t0.9\t0.5\ta paper\n"
TARGETS = [
    "results/figures/fig7.pdf",
    f"results/attack/digits/{GIVEN}/pgd.parquet",
    f"results/compare/digits/group/inverted/cka/{TRAINED[1]}.parquet",
    f"results/probe/digits/{TRAINED[0]}.parquet",
    "results/prep/again/test.lmdb",
]
# What rsync is asked for by the plugin: options, then a source, with a slash behind it for what a folder holds.
RSYNC = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
case "$1" in */) mkdir -p "$2" && cp -RLp "$1." "$2";; *) cp -Lp "$1" "$2";; esac
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """PATH with an rsync in it, which the plugin `fs` calls."""
    if shutil.which("rsync"):
        return os.environ["PATH"]
    folder = tmp_path_factory.mktemp("bin")
    (folder / "rsync").write_text(RSYNC)
    (folder / "rsync").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def run(tmp_path_factory, path, store):
    """Runs Snakemake in a tree whose results are in the storage."""
    folder = tmp_path_factory.mktemp("tree")
    recipes = {"plain": trees.PLAIN | {"checkpoints": [0]}, "given": {"input": trees.PLAIN["input"]}}
    recipes["given"]["attack"] = {"norm": "linf", "eps": 8 / 255}
    trees.plant(folder, CONFIG, recipes, [("resnet8", "plain", 0), ("resnet8", "plain", 1)])
    shutil.copytree(ROOT / "resources" / "published", folder / "resources" / "published", dirs_exist_ok=True)
    with (folder / "config" / "models" / "demo.tsv").open("a") as sheet:
        sheet.write(f"{GIVEN}\tdigits\tresnet8\tgiven\t0\tgiven/net.pt\n")
    with (folder / "config" / "datasets.tsv").open("a") as sheet:
        sheet.write("again\tclassification\t10\t32\ttfds/digits\tresults/tfds/digits\t\ttrain\ttest\n")
        sheet.write("gone\tclassification\t10\t32\tcifar10_python\tgiven/gone.tar.gz\t\ttrain\ttest\n")
    (folder / "given").mkdir()
    (folder / "given" / "published.tsv").write_text(NUMBERS)
    torch.save(models.build("resnet8", 10, 32).state_dict(), folder / "given" / "net.pt")
    where = ["--default-storage-provider", "fs", "--default-storage-prefix", str(store)]

    def run(*arguments):
        return snakemake(folder, *where, *arguments, PATH=path)

    run.folder = folder
    return run


@pytest.fixture(scope="module")
def made(run):
    """What the first run said."""
    return succeeded(run("--cores", "2", *TARGETS))


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_every_stage_writes_into_the_storage_and_reads_from_it(run, made, store):
    rules = set(re.findall(r"^(?:local)?rule (\w+):$", made, re.MULTILINE))
    assert rules == {
        *("prep", "train", "convert", "attack", "effectiveness", "pair", "invert", "represent", "cross", "compare"),
        *("probe", "tabulate_figure", "figure", "publish"),
    }
    stored = files(store)
    assert stored >= set(TARGETS)
    assert f"results/train/{TRAINED[0]}/checkpoints/epoch-000.safetensors" in stored
    assert tables.read(store / "results/tables/fig7.parquet", FIGURES["fig7"].table)["source"].notna().all()
    assert {path.split("/")[0] for path in stored} == {"results"}


def test_logs_benchmarks_and_state_stay_here_and_results_do_not(run, made):
    here = files(run.folder)
    assert {path for path in here if path.startswith("results/")} == {
        *(f"results/prep/digits/.{split}.given" for split in ("train", "test")),
        "results/prep/again/.test.given",
        *(path for path in here if path.startswith("results/.resume/")),
    }
    assert f"logs/train/{TRAINED[0]}.log" in here and f"benchmarks/results/train/{TRAINED[0]}.tsv" in here


def test_nothing_is_made_again_and_a_dry_run_fetches_nothing(run, made):
    copies = run.folder / ".snakemake" / "storage"
    assert not files(copies)
    assert "Nothing to be done" in succeeded(run("-n", *TARGETS))
    assert not files(copies)


def test_a_dry_run_of_everything_finds_what_is_given(run):
    assert "Traceback" not in succeeded(run("-n"))


def test_a_source_that_is_missing_is_said(run):
    answer = run("--cores", "1", "results/prep/gone/test.lmdb")
    assert answer.returncode and "given/gone.tar.gz does not exist: fill column `source` of row 'gone'" in said(answer)


def test_a_report_shows_what_is_in_the_storage(run, made):
    succeeded(run("--report", "report.html"))
    page = (run.folder / "report.html").read_text()
    assert "figures/fig7.png" in page and "not in this report: published" in page
