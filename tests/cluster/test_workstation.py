"""The profile of a workstation: as many GPU jobs at a time as GPUs, each with its own."""

import re

import pytest
import yaml
from small_tree import ended, made

from imports import ROOT

pytestmark = pytest.mark.workflow

WEIGHTS = [f"results/train/resnet8-plain-s{seed}/weights.safetensors" for seed in (0, 1)]


def trained(tree):
    """First and last time of the log of each training, and its GPUs, the earlier one first."""
    logs = [path.read_text() for path in (tree.folder / "logs" / "train").glob("*.log")]
    return sorted((log[:8], log.splitlines()[-1][:8], re.search(r"CUDA_VISIBLE_DEVICES=(.+)", log)[1]) for log in logs)


def test_two_gpus_train_two_models_at_a_time(local, tmp_path):
    tree = made(tmp_path / "tree", local.folder, profile="profiles/local")
    tree.snakemake_with(["1", "3"], *WEIGHTS)
    (_, end, one), (start, _, other) = trained(tree)
    assert {one, other} == {"1", "3"} and start < end


def test_one_gpu_trains_one_model_after_the_other(local):
    (_, end, one), (start, _, other) = trained(local)
    assert one == other == "2" and start >= end


def test_without_slurm_a_training_in_tasks_is_refused(local, tmp_path):
    tree = made(tmp_path / "tree", local.folder, profile="profiles/local")
    profile = yaml.safe_load((ROOT / "profiles" / "local" / "config.yaml").read_text())
    tree.site(**{"set-resources": profile["set-resources"] | {"train": {"tasks": 2}}})
    said = ended(tree.start(WEIGHTS[0]), 1)
    assert "ValueError: 2 tasks need Slurm: take `tasks` of rule train out of the profile" in said
