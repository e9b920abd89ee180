"""A network and weights of the user's own: the walk of docs/adding.md, followed literally to its table."""

import os
import re
import subprocess
import sys

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import trees
from imports import ROOT
from mettle import models
from mettle.data import Store
from mettle.digests import sha256_of
from trees import said, snakemake

pytestmark = pytest.mark.workflow

OWN = ("--configfile", "config/own.yaml", "--", "results/own/tables/accuracy.parquet")
SECTION = (ROOT / "docs" / "adding.md").read_text().split("\n## A model of your own\n")[1].split("\n### ")[0]


def prepare(folder):
    """A clone after `make env`: this Python as its environment, with mettle of the clone."""
    trees.copy(folder, "config")
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name, module in (("python", ""), ("snakemake", "-m snakemake")):
        path = folder / ".venv" / "bin" / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = prepare(tmp_path_factory.mktemp("own"))
    env = trees.environment() | {"PYTHONPATH": str(folder / "workflow" / "scripts")}
    env["PATH"] = f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}"
    for block in re.findall(r"^```\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL):
        done = subprocess.run(["bash", "-ec", block], cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_table_has_the_accuracy_of_the_very_network(tree, monkeypatch):
    monkeypatch.chdir(tree)
    rows = pd.read_parquet("results/own/tables/accuracy.parquet").set_index("attack")["value"].astype(float)
    network = models.build("net.py:MyNet", 2, 32)
    network.load_state_dict(torch.load("my.pth", weights_only=True))
    store = Store("results/prep/own/test.lmdb")
    images = torch.tensor(store.arrays()).permute(0, 3, 1, 2) / 255
    right = network((images - 0.5) / 0.25).argmax(1) == torch.tensor(store.manifest()["label"].to_numpy())
    assert rows["clean"] == pytest.approx(right.float().mean().item(), abs=1e-6) and rows["clean"] > 0.9
    assert rows["pgd20"] < rows["clean"] - 0.1


def test_weights_say_which_file_they_were_made_with(tree, monkeypatch):
    monkeypatch.chdir(tree)
    model, about = models.load("results/train/mynet/weights.safetensors")
    assert about["code"] == {"net.py": sha256_of("net.py")} and about["mean"] == [0.5] * 3 and not about["recipe"]
    assert load_file("results/train/mynet/weights.safetensors").keys() == model.state_dict().keys()


def test_a_change_of_the_file_makes_weights_and_what_follows_again_and_nothing_else(tree):
    kept = (tree / "net.py").read_text()
    (tree / "net.py").touch()
    assert "Nothing to be done" in said(snakemake(tree, "-n", *OWN))
    (tree / "net.py").write_text(kept.replace("nn.ReLU()", "nn.GELU()"))
    rules = set(re.findall(r"^rule (\w+):$|^localrule (\w+):$", said(snakemake(tree, "-n", *OWN)), re.MULTILINE))
    assert {"".join(found) for found in rules} == {"convert", "attack", "tabulate_figure"}
    (tree / "net.py").write_text(kept)
    assert "Nothing to be done" in said(snakemake(tree, "-n", *OWN))
