"""Columns of the leaderboard: what is compared with what, and which ranks that gives."""

import numpy as np
import pandas as pd
import pytest

from mettle import tables
from mettle.stages.cards.leaderboard import columns
from mettle.stages.cards.scores import scores_of

GOOD, BAD = np.array([1, 1, 1, 1, 1, 0], bool), np.array([1, 1, 0, 0, 0, 0], bool)


@pytest.fixture
def made(results, told, tmp_path):
    """Columns by title from the answers of models to attacks."""

    def make(cells, **more):
        rows = []
        for model, files in cells.items():
            rows += scores_of({"attack": files}, told | {"model": model} | more)
        tables.write(tmp_path / "all.parquet", tables.SCORES, rows, {})
        found = columns(tables.read(tmp_path / "all.parquet", tables.SCORES), 0)
        return {(column["title"], column["n"]): column for column in found}

    return make


def test_a_column_for_every_condition_with_values_and_ranks(results, made):
    cells = {name: [results(name, "pgd", GOOD, right)] for name, right in (("a", BAD), ("b", GOOD))}
    found = made(cells)
    assert set(found) == {("clean accuracy", 6), ("pgd, Linf 8/255", 6)}
    assert found["clean accuracy", 6]["cells"]["a"][3:6] == [1, 1, 1]
    attacked = found["pgd, Linf 8/255", 6]["cells"]
    assert attacked["a"][0] == round(2 / 6, 5) and attacked["a"][3] == 2 and attacked["b"][3:5] == [1, 1]


def test_models_are_ranked_on_the_same_images_alone(results, made):
    cells = {"a": [results("a", "pgd", GOOD, BAD)], "b": [results("b", "pgd", GOOD, GOOD, ids=range(1, 7))]}
    found = made(cells)
    assert len(found) == 2, "titles and numbers are the same, images are not"
    rows = pd.concat([pd.DataFrame(column["cells"]).T for column in found.values()])
    assert rows[3].isna().all()


def test_published_values_have_a_column_of_their_own(results, made):
    known = {"images": "ten", "clean": 0.9, "source": "paper"}
    found = made({"a": [results("a", "pgd", GOOD, BAD)]}, published=[known])
    assert found["clean accuracy, published", None]["cells"]["a"] == [0.9, None, None, None, None, None, "paper"]


def test_the_first_columns_are_of_most_models_and_clean_first(results, told, tmp_path):
    rows = []
    for model in ("a", "b"):
        files = [results(model, name, GOOD, BAD) for name in (["one", "two"] if model == "a" else ["one"])]
        rows += scores_of({"attack": files}, told | {"model": model})
    tables.write(tmp_path / "all.parquet", tables.SCORES, rows, {})
    found = columns(tables.read(tmp_path / "all.parquet", tables.SCORES), 0)
    titles = [column["title"] for column in found]
    assert titles == ["clean accuracy", "one, Linf 8/255", "worst case, Linf 8/255", "two, Linf 8/255"]
    assert all(column["shown"] for column in found)
