"""A Slurm for the tests of this folder, and a small workflow to run on it."""

import pytest
import slurm
from tree import WEIGHTS, made

REASON = slurm.reason_against()


@pytest.fixture(scope="session")
def cluster():
    if REASON:
        pytest.skip(REASON)
    with slurm.running():
        yield slurm


@pytest.fixture(scope="session")
def undisturbed(cluster, tmp_path_factory):
    """The whole figure on Slurm, without faults."""
    tree = made(tmp_path_factory.mktemp("undisturbed"))
    tree.snakemake("results/figures/fig5.pdf")
    return tree


@pytest.fixture(scope="session")
def two_ranks(undisturbed, tmp_path_factory):
    """One of its models, trained in two processes on one node."""
    tree = made(tmp_path_factory.mktemp("two_ranks"), undisturbed.folder)
    tree.train_with(gpu=2)
    tree.snakemake(WEIGHTS)
    return tree


@pytest.fixture
def tree(undisturbed, tmp_path):
    """Another one with data sets only."""
    return made(tmp_path / "tree", undisturbed.folder)
