"""What goes wrong on a cluster: after each fault the numbers are those of a run without it, to the last bit."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from small_tree import WEIGHTS, ended, made, same

pytestmark = pytest.mark.cluster


def training(cluster, tree, states=("RUNNING",)):
    """The job that trains."""
    return next(iter(cluster.jobs(states, tree.folder)), None)


def under_way(cluster, tree):
    """A Snakemake whose training job stands still after an epoch, so that it is not over before what a test does to it.

    Slurm wakes a job that it asks to end.
    """
    process = tree.start(WEIGHTS)
    cluster.until("an epoch is over", lambda: tree.epoch() >= 1)
    os.kill(script(tree), signal.SIGSTOP)
    return process


def script(tree):
    """The process that trains: the script that Snakemake has put into this working directory."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_text().split("\0")
            if (path / "cwd").readlink() == tree.folder and any("/.snakemake/scripts/" in word for word in command[:3]):
                return int(path.name)
        except OSError:
            continue
    raise AssertionError("no script runs")


def states(cluster, tree):
    return sorted(job["JobState"] for job in cluster.jobs(folder=tree.folder))


def saved(cluster, tree):
    """Wait until the job that was asked to end says that it has saved the state."""
    said = "stopped by a signal: the state is saved"
    cluster.until(said, lambda: said in tree.said())


def went_on(tree):
    return "resuming from epoch" in tree.said()


def test_a_cancelled_training_is_submitted_again_and_goes_on(undisturbed, tree, cluster):
    process = under_way(cluster, tree)
    subprocess.run(["scancel", training(cluster, tree)["JobId"]], check=True)
    saved(cluster, tree)
    ended(process)
    assert states(cluster, tree) == ["CANCELLED", "COMPLETED"] and went_on(tree)
    assert same(tree, undisturbed)
    tree.whole()
    assert len({job["MinMemoryNode"] for job in cluster.jobs(folder=tree.folder)}) == 1, "it asks for no more"
    assert re.findall(r" attempt (\d), ", tree.said()) == ["1", "2"] and "Traceback" not in tree.said()
    assert not [path for path in (tree.folder / "results").rglob("*") if path.name.endswith(".lock")]


def preempted(tree, cluster):
    """Let a job of a partition that comes first take the memory of a training on its way, for a moment."""
    with cluster.preempting():
        process = under_way(cluster, tree)
        job = training(cluster, tree)["JobId"]
        more = ["--mem=300000", "--output=/dev/null", "--wrap=sleep 1"]
        other = cluster.asked("sbatch", "--parsable", "--partition=gpu", *more)
        saved(cluster, tree)
        cluster.until("it waits again", lambda: training(cluster, tree, ("PENDING",)))
        over = ["squeue", "--noheader", "--jobs", other.stdout.strip()]
        cluster.until("the other one is over", lambda: not cluster.asked(*over, check=False).stdout)
        cluster.asked("scontrol", "update", f"jobid={job}", "StartTime=now")  # Slurm lets two minutes pass else
        ended(process)


def test_a_preempted_training_is_requeued_and_goes_on(undisturbed, tree, cluster):
    tree.train_with(slurm_partition="low", mem_mb=300_000)
    preempted(tree, cluster)
    (job,) = cluster.jobs(folder=tree.folder)
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1") and went_on(tree)
    assert job["MinMemoryNode"] == "300000M", "it asks for no more than before"
    assert same(tree, undisturbed)


def test_a_killed_training_is_submitted_again_and_goes_on(undisturbed, tree, cluster):
    process = under_way(cluster, tree)
    os.kill(script(tree), signal.SIGKILL)
    ended(process)
    assert states(cluster, tree) == ["COMPLETED", "FAILED"] and went_on(tree)
    assert same(tree, undisturbed)


def test_a_killed_snakemake_is_started_again_while_its_job_runs(undisturbed, tree, cluster):
    process = under_way(cluster, tree)
    process.kill()
    process.wait()
    left = training(cluster, tree)["JobId"]
    assert "Directory cannot be locked" in ended(tree.start(WEIGHTS), 1)
    tree.snakemake("--unlock")
    assert training(cluster, tree)["JobId"] == left
    process = tree.start(WEIGHTS)
    saved(cluster, tree)
    assert f"ends 1 jobs that an earlier run left in Slurm: {left}" in ended(process)
    assert states(cluster, tree) == ["CANCELLED", "COMPLETED"] and went_on(tree)
    assert same(tree, undisturbed)
    tree.whole()


def test_a_job_over_its_memory_gets_more(undisturbed, tree, cluster):
    tree.train_with(mem_mb="300 if attempt == 1 else 4000")
    tree.snakemake(WEIGHTS)
    first, second = sorted(cluster.jobs(folder=tree.folder), key=lambda job: int(job["JobId"]))
    assert (first["JobState"], first["MinMemoryNode"]) == ("FAILED", "300M")
    assert (second["JobState"], second["MinMemoryNode"]) == ("COMPLETED", "4000M")
    assert same(tree, undisturbed)


def test_on_one_machine_a_training_that_still_runs_is_waited_for(undisturbed, tmp_path, cluster):
    tree = made(tmp_path / "tree", undisturbed.folder, profile="profiles/local")
    process = tree.start(WEIGHTS)
    cluster.until("an epoch is over", lambda: tree.epoch() >= 1)
    first = script(tree)
    os.kill(first, signal.SIGSTOP)
    process.kill()
    process.wait()
    tree.snakemake("--unlock")
    process = tree.start(WEIGHTS)
    cluster.until("the second waits", lambda: "another process is running this job; waiting" in tree.said())
    os.kill(first, signal.SIGCONT)
    ended(process)
    assert "another process has finished this training" in tree.said()
    assert same(tree, undisturbed)


def test_requeued_tasks_go_on_with_all_their_ranks(two_ranks, cluster, tmp_path):
    tree = made(tmp_path / "tree", two_ranks.folder)
    tree.train_with(slurm_partition="low", mem_mb=300_000, gpu=0, gres="gpu:2", mpi="srun", tasks=2)
    preempted(tree, cluster)
    (job,) = cluster.jobs(folder=tree.folder)
    assert (job["NumTasks"], job["Restarts"]) == ("2", "1") and went_on(tree)
    assert "processes 2" in tree.said() and re.search(
        "CUDA_VISIBLE_DEVICES=[0-7],[0-7] on the first node\n", tree.said()
    )
    assert same(tree, two_ranks)
