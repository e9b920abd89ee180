"""The shipped profile on a real Slurm: every job runs there, with the GPU that it asks for."""

import re

import pytest
from small_tree import FIGURES, WEIGHTS, same

# Jobs of Slurm that several short ones share: the name of the group, then the rules.
SHARED = ["short_agree", "figure_figure", "digits-group-natural-resnet8-plain-s1_subgroups"]
pytestmark = pytest.mark.cluster


def rule(job):
    return re.match(r"rule_([\w-]+?)(?:_wildcards.*)?$", job["Comment"])[1]


def test_figures_are_made_by_jobs_of_slurm(undisturbed, cluster):
    for figure in FIGURES:
        assert (undisturbed.folder / figure).read_bytes().startswith(b"%PDF")
    undisturbed.whole()
    jobs = cluster.jobs(folder=undisturbed.folder)
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    rules = sorted(map(rule, jobs))
    assert rules == sorted([*["prep", "train", "represent", "tabulate_figure"] * 2, *SHARED])


def test_the_jobs_that_use_a_gpu_get_one_and_no_others(undisturbed, cluster):
    for job in cluster.jobs(folder=undisturbed.folder):
        with_gpu = rule(job) in ("train", "represent")
        assert job["Partition"] == ("gpu" if with_gpu else "cpu")
        assert job.get("TresPerJob") == ("gres:gpu:1" if with_gpu else None)
        assert job["NumTasks"] == "1"
    assert re.search(r"GPUs: [0-7]\n", undisturbed.said())


def test_nothing_is_left_to_do(undisturbed):
    assert "Nothing to be done" in undisturbed.snakemake("-n", *FIGURES)


def test_without_gpus_the_same_rules_run_on_cpus(undisturbed, tree, cluster):
    tree.train_with(gpu=0, slurm_partition="cpu")
    tree.snakemake(WEIGHTS)
    (job,) = cluster.jobs(folder=tree.folder)
    assert (job["Partition"], job.get("TresPerJob")) == ("cpu", None)
    assert same(tree, undisturbed)


def test_two_gpus_train_in_two_processes(two_ranks, cluster):
    assert "processes 2" in two_ranks.said() and re.search(r"GPUs: [0-7],[0-7]\n", two_ranks.said())
    (job,) = cluster.jobs(folder=two_ranks.folder)
    assert (job["TresPerJob"], job["NumTasks"]) == ("gres:gpu:pretended:2", "1")
    assert job["Features"] == "fast|big"
