"""Which paths go into a storage, told by a stand-in for Snakemake's modifier of paths."""

from types import SimpleNamespace

import pytest

from mettle.controller import stored


def modifier(provider):
    """One that hands paths on as they come."""
    settings = SimpleNamespace(default_storage_provider=provider)
    workflow = SimpleNamespace(storage_settings=settings)
    return SimpleNamespace(workflow=workflow, modify=lambda path, property=None: path)


def flagged(path, provider="s3", results="results/mine"):
    found = modifier(provider)
    stored.results_alone(found, results, lambda path: f"local {path}")
    return found.modify(path, property="input") != path


@pytest.mark.parametrize("path", ["results/prep/a/test.lmdb", "<results>/tables/fig1.parquet", "results/mine/a.png"])
def test_results_go_into_the_storage(path):
    assert not flagged(path)


@pytest.mark.parametrize(
    "path",
    ["resources/published/a.csv", "/data/net.pt", "logs/prep/a.log", "<logs>/a.log", "<benchmarks>/a.tsv", "{path}"],
)
def test_all_else_stays(path):
    assert flagged(path)
    assert not flagged(path, provider=None)


def test_what_is_decided_is_left_alone():
    """An input function, whose paths pass one by one; a path of the storage, which another rule takes over."""

    class Annotated(str):
        callable, flags = None, {}

    function, again = Annotated("<function>"), Annotated("s3://bucket/results/a.png")
    function.callable, again.flags = print, {"storage_object": object()}
    assert not flagged(function) and not flagged(again)
    assert flagged(Annotated("logs/a.log"))
