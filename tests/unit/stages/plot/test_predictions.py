"""The figure of predictions: which pictures are where, and which words stand beside them."""

import numpy as np
import pytest
from matplotlib import pyplot
from test_figures import assert_truetype

from mettle import tables
from mettle.data.preview import thumbnail
from mettle.plan.figures import FIGURES
from mettle.stages import plot
from mettle.stages.plot import predictions
from mettle.stages.tabulate import predictions as tabulated

ABOUT = FIGURES["predictions"]
SHOWS = ("image", "target", "answer", "attacked", "attacked_answer")
MODELS = {
    "plain": {"label": "plain network", "task": "segmentation"},
    "hard": {"label": "20 tokens", "task": "segmentation"},
    "deep": {"label": "plain depth", "task": "depth"},
}


def grey(model, number, shows):
    """The one grey of a picture, by which it is found again; images and targets are the same for all models."""
    own = [*MODELS].index(model) if "answer" in shows else 0
    return 20 + 60 * own + 10 * number + SHOWS.index(shows)


def made(folder, n=4, shown=3):
    paths = []
    for model, about in MODELS.items():
        keys = {"dataset": "d", "split": "test", "model": model, "attack": "pgd", "norm": "linf", "eps": 4 / 255}
        keys |= {"measure": {"segmentation": "miou", "depth": "abs_rel"}[about["task"]], "n": 1, "lo": None, "hi": None}
        rows = []
        for number in range(n):
            for shows in SHOWS:
                value = 0.25 if shows == "answer" else 0.125 if shows == "attacked_answer" else None
                picture = np.full((12, 16, 3), grey(model, number, shows), np.uint8)
                told = {"id": number, "shows": shows, "value": value, "note": None if value else "no answer"}
                rows.append(keys | told | {"image": thumbnail(picture, 256)})
        paths.append(folder / f"{model}.parquet")
        tables.write(paths[-1], tables.PICTURES, rows)
    cells = tables.concat(paths, *ABOUT.made_from)
    tables.write(folder / "t.parquet", ABOUT.table, tabulated.rows(cells, {"rows": MODELS, "images": shown}, []))
    return tables.read(folder / "t.parquet", ABOUT.table)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return made(tmp_path_factory.mktemp("cells"))


def test_the_first_images_of_every_model_are_shown_with_its_label_and_task(table):
    assert table.groupby("model", sort=False)["id"].unique().map(list).to_dict() == {
        model: [0, 1, 2] for model in MODELS
    }
    for model, rows in table.groupby("model"):
        assert rows[["label", "task"]].drop_duplicates().to_dict("records") == [MODELS[model]]


def test_every_picture_is_in_its_place(table):
    figure = predictions.draw(table)
    lines = []
    for block in figure.subfigs:
        shown = [axis for axis in block.axes if axis.images]
        rows = {}
        for axis in shown:
            place = axis.get_subplotspec()
            rows.setdefault(place.rowspan.start, {})[place.colspan.start] = round(
                float(axis.images[0].get_array().max()) * 255
            )
        lines.append(rows)
    pyplot.close(figure)
    for rows, names in zip(lines, (["plain", "hard"], ["deep"]), strict=True):
        for number in range(3):
            expected = [grey(names[0], number, "image"), grey(names[0], number, "target")]
            expected += [grey(name, number, shows) for name in names for shows in ("answer", "attacked_answer")]
            assert rows[number] == dict(enumerate(expected))


def test_models_are_named_with_the_eps_and_answers_have_their_scores(table):
    figure = predictions.draw(table)
    titles = [axis.get_title() for block in figure.subfigs for axis in block.axes if axis.get_title()]
    words = [text.get_text() for block in figure.subfigs for axis in block.axes for text in axis.texts]
    pyplot.close(figure)
    assert [title.replace("\n", " ") for title in titles] == [
        *[
            "image",
            "segmentation, target",
            "plain network clean",
            "plain network 4/255",
            "20 tokens clean",
            "20 tokens 4/255",
        ],
        *["image", "depth, target", "plain depth clean", "plain depth 4/255"],
    ]
    assert words == ["mIoU 0.25", "mIoU 0.12"] * 6 + ["AbsRel 0.25", "AbsRel 0.12"] * 3


def test_the_same_table_gives_the_same_bytes(table, tmp_path):
    tables.write(tmp_path / "t.parquet", ABOUT.table, table.to_dict("records"))
    for name in ("a", "b"):
        plot.draw("predictions", tmp_path / "t.parquet", tmp_path / f"{name}.pdf")
    first = (tmp_path / "a.pdf").read_bytes()
    assert first == (tmp_path / "b.pdf").read_bytes() and len(first) > 3000
    assert_truetype(first)
