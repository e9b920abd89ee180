"""A Slurm for the tests of this folder, and a small workflow to run on it."""

import pytest
import slurm
from tree import Tree, made

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


@pytest.fixture
def tree(undisturbed, tmp_path):
    """Another one with data sets only."""
    return Tree(made(tmp_path / "tree", prepared=undisturbed.folder).folder)
