"""A Slurm for the tests of this folder, and a small workflow to run on it."""

import fcntl
from shutil import rmtree

import pytest
import slurm
from small_tree import FIGURES, WEIGHTS, Tree, made


@pytest.fixture(scope="session")
def cluster():
    if reason := slurm.reason_against():
        pytest.skip(reason)
    with slurm.running():
        yield slurm


def once(tmp_path_factory, name, fill, profile="slurm"):
    """A tree that the first of the processes that run tests makes for all of them."""
    shared = tmp_path_factory.getbasetemp().parent / f"cluster-{name}"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "done").exists():
            rmtree(shared / "tree", ignore_errors=True)  # what one that failed has left
            fill(shared / "tree")
            (shared / "done").touch()
    return Tree(shared / "tree", profile)


@pytest.fixture(scope="session")
def undisturbed(cluster, tmp_path_factory):
    """The figures on Slurm, without faults."""
    return once(tmp_path_factory, "undisturbed", lambda folder: made(folder).snakemake(*FIGURES))


@pytest.fixture(scope="session")
def local(tmp_path_factory):
    """Figure 5 on this machine, which has one GPU."""

    def make(folder):
        made(folder, profile="profiles/local").snakemake_with(["2"], FIGURES[1])

    return once(tmp_path_factory, "local", make, "profiles/local")


@pytest.fixture(scope="session")
def two_ranks(undisturbed, tmp_path_factory):
    """One of its models, trained in two processes on one node, by GPUs and a node of a certain kind."""

    def train(folder):
        tree = made(folder, undisturbed.folder)
        tree.train_with(gpu=2, gpu_model="pretended", constraint="fast|big")
        tree.snakemake(WEIGHTS)

    return once(tmp_path_factory, "two_ranks", train)


@pytest.fixture
def tree(undisturbed, tmp_path):
    """Another one with data sets only."""
    tree = made(tmp_path / "tree", undisturbed.folder)
    yield tree
    tree.end()
