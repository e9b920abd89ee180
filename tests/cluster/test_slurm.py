"""The shipped profile on a real Slurm: every job runs there, with the GPU that it asks for."""

import re

import pytest
from small_tree import FIGURES, WEIGHTS, ended, same

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
    assert re.search(r"CUDA_VISIBLE_DEVICES=[0-7]\n", undisturbed.said())
    assert "computes on CPU in fp32: " in undisturbed.said()


def test_nothing_is_left_to_do(undisturbed):
    assert "Nothing to be done" in undisturbed.snakemake("-n", *FIGURES)


def test_without_gpus_the_same_rules_run_on_cpus_with_the_threads_that_slurm_gave(undisturbed, tree, cluster):
    tree.train_with({"cores": 1, "set-threads": {"train": 2}}, gpu=0, slurm_partition="cpu")
    tree.snakemake(WEIGHTS)
    (job,) = cluster.jobs(folder=tree.folder)
    assert (job["Partition"], job.get("TresPerJob"), job["NumCPUs"]) == ("cpu", None, "1")
    assert re.search(r"attempt 1, \S+, job \d+ of Slurm: train .*, 1 threads\n", tree.said())
    assert same(tree, undisturbed)


def test_a_job_that_was_given_a_gpu_and_finds_no_cuda_stops(tree, cluster):
    tree.train_with({"retries": 0}, without_cuda="stop")
    said = ended(tree.start(WEIGHTS), 1)
    assert "RuntimeError: this job was given a GPU, but PyTorch " in said + tree.said()
    assert [job["JobState"] for job in cluster.jobs(folder=tree.folder)] == ["FAILED"]


def test_a_start_asks_for_no_account_and_names_its_jobs(undisturbed, cluster):
    said = (undisturbed.folder / "said-0.txt").read_text()
    assert "sacct" not in said and "account" not in said
    assert all(job["JobName"].startswith("mettle_") for job in cluster.jobs(folder=undisturbed.folder))


def test_two_gpus_train_in_two_processes(two_ranks, cluster):
    assert "processes 2" in two_ranks.said() and re.search(r"CUDA_VISIBLE_DEVICES=[0-7],[0-7]\n", two_ranks.said())
    (job,) = cluster.jobs(folder=two_ranks.folder)
    assert (job["TresPerJob"], job["NumTasks"]) == ("gres:gpu:pretended:2", "1")
    assert job["Features"] == "fast|big"
