"""Folder of results: several configurations side by side, over shared stores and weights."""

import pytest

from mettle.plan import check_targets
from workplace import Workplace

FIGURES = {"fig2": {"datasets": ["ten"], "eps": [0], "measures": ["cka"]}}


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def test_evaluations_move_and_stores_and_weights_stay(place):
    found = place.plan(results="results/mine/", figures=FIGURES)
    assert found.targets() == ["results/mine/figures/fig2.pdf", "results/mine/tables/fig2.parquet"]
    cell = {"dataset": "ten", "set": "group", "images": "natural", "model": "vgg5-plain-s0"}
    assert found.cells("fig2")[0] == "results/mine/compare/ten/group/natural/cka/vgg5-plain-s0.parquet"
    assert all(path.startswith("results/mine/represent/ten/natural/") for path in found.represented(cell))
    assert found.test_store(cell)[0] == "results/prep/ten/test.lmdb"
    assert found.state("attack/x") == "results/mine/.resume/attack/x"
    assert (found.logs, found.benchmarks) == ("results/mine/logs", "results/mine/benchmarks")
    assert (place.plan().logs, place.plan().benchmarks) == ("logs", "benchmarks/results")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("results/figures/fig2.pdf", "by this configuration it is mine/figures/fig2\\.pdf$"),
        ("mine/prep/ten/test.lmdb", "by this configuration it is results/prep/ten/test\\.lmdb$"),
        ("mine/figures/fig22.pdf", "unknown figure 'fig22': did you mean 'fig2'\\?$"),
        ("mine/attack/ten.parquet", "mine/attack holds "),
    ],
)
def test_targets_are_checked_in_the_folder_of_results(place, target, message):
    found = place.plan(results="mine", figures=FIGURES)
    with pytest.raises(ValueError, match=f"^target '{target}': {message}"):
        check_targets(found, [target])
    check_targets(found, ["mine/figures/fig2.pdf", "results/prep/ten/test.lmdb", "elsewhere/x"])


@pytest.mark.parametrize(
    "folder", ["/mine", "../mine", "my results", "mine/../../x", "results/prep", "results/train/x", ""]
)
def test_a_folder_that_cannot_be(place, folder):
    with pytest.raises(ValueError, match=r"^configuration: '?results'?[: ]"):
        place.plan(results=folder)
