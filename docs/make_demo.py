"""Writes the tables and pictures of docs/demo.md from a finished demo: `make demo FIGURES=all`, then this."""

import shutil
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import blocks

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

import pandas as pd  # noqa: E402 (the path comes first)

from mettle import schema, tables  # noqa: E402
from mettle.plan import Plan  # noqa: E402
from mettle.plan.figures import FIGURES  # noqa: E402

PAGE = ROOT / "docs" / "demo.md"


class Demo:
    """The tables of a finished demo.

    Parameters
    ----------
    results : folder with `tables` and `figures`
    recipes : recipe of each model, by its name
    """

    def __init__(self, results: Path, recipes: dict[str, str]) -> None:
        self.results, self.recipes = results, recipes

    def read(self, figure: str, **wanted: Any) -> pd.DataFrame:
        """Rows of a table with these values in these columns.

        Raises
        ------
        ValueError
            If it has not been made.
        """
        path = self.results / "tables" / f"{figure}.parquet"
        if not path.exists():
            raise ValueError(f"{path} does not exist: run `make demo FIGURES=all` first")
        frame = tables.read(path, FIGURES[figure].table)
        for column, value in wanted.items():
            frame = frame[frame[column] == value]
        return frame.astype({"value": float})

    def part(self, name: str) -> str:
        """A part of the page: a table in Markdown, or what made them all."""
        return self.made() if name == "made" else _markdown(PARTS[name](self))

    def made(self) -> str:
        """When, at which commit and on which processor the demo ran, as its files say."""
        sources = self.read("fig5").attrs["provenance"] + self.read("accuracy").attrs["provenance"]
        commits, processors, torch = (
            ", ".join(sorted(set(filter(None, found))))
            for found in (
                (source.get("commit") for source in sources),
                (source.get("processor", "a processor that was not kept") for source in sources),
                (source["versions"].get("torch") for source in sources),
            )
        )
        day = date.fromtimestamp((self.results / "tables" / "fig5.parquet").stat().st_mtime)
        when = f"{day.day} {day:%B %Y}"
        return f"Numbers and pictures are of a run of {when}: commit {commits}, {processors}, torch {torch}."


def accuracy(demo: Demo) -> pd.DataFrame:
    """Clean and attacked accuracy by training recipe, mean over models."""
    frame = demo.read("accuracy", measure="accuracy")
    frame["recipe"] = frame["model"].map(demo.recipes).fillna("")
    cells = frame.groupby(["dataset", "recipe", "n", "attack"], sort=False)["value"]
    cells = cells.agg(["mean", "size"]).reset_index()
    cells["models"] = cells.groupby(["dataset", "recipe"])["size"].transform("max")
    cells = cells.rename(columns={"n": "images"}).assign(cell=cells["mean"].map("{:.3f}".format))
    return _wide(cells, ["recipe", "models", "images"], "attack")


def subgroups(demo: Demo) -> pd.DataFrame:
    """Mean similarity over pairs on the parts of the images, and the p-values of the contrasts."""
    frame = demo.read("fig5").astype({"p": float})
    pairs = frame[frame["model"] != "all"]
    means = pairs.groupby(["dataset", "measure", "eps", "subgroup"], sort=False)["value"].mean().reset_index()
    tests = frame[frame["model"] == "all"].assign(subgroup="p, " + frame["subgroup"])
    cells = pd.concat([means.assign(cell=means["value"].map(_number)), tests.assign(cell=tests["p"].map(_p_value))])
    return _wide(
        cells.assign(subgroup=cells["subgroup"].str.replace("_matched", ", equal n")), ["measure", "eps"], "subgroup"
    )


def similarity(demo: Demo) -> pd.DataFrame:
    """Mean similarity over pairs, on natural and on inverted images."""
    return _beside(demo, {"natural images": "fig2", "inverted images": "fig3"})


def agreement(demo: Demo) -> pd.DataFrame:
    """Agreement and divergence of answers, likewise."""
    found = []
    for what, figure in {"natural images": "fig4", "inverted images": "fig13"}.items():
        frame = demo.read(figure, model="all")
        apart = frame[frame["measure"] == "disagreement"].assign(measure="agreement")
        alike = apart.assign(value=1 - apart["value"], lo=1 - apart["hi"], hi=1 - apart["lo"])
        found.append(_intervals(pd.concat([alike, frame[frame["measure"] == "jsd"]])).assign(what=what))
    return _wide(pd.concat(found), ["measure", "eps"], "what")


def probes(demo: Demo) -> pd.DataFrame:
    """Agreement of pairs by the networks' own heads and by linear probes, on held-out images."""
    frame = demo.read("fig6", model="all", images="natural")
    heads = {"pretrained": "own heads", "probe": "linear probes"}
    return _wide(_intervals(frame).assign(head=frame["measure"].map(heads)), ["eps"], "head")


def effectiveness(demo: Demo) -> pd.DataFrame:
    """At the end of training: accuracy under one and under most steps of PGD, and what the loss of one step lacks."""
    frame = demo.read("fig7", attack="pgd")
    frame["epoch"] = frame["epoch"].astype(float).fillna(float("inf"))
    last = frame[frame["epoch"] == frame.groupby(["dataset", "label"])["epoch"].transform("max")]
    most = last.groupby(["dataset", "label"])["steps"].transform("max")
    told = {"accuracy, 1 step": (last["measure"] == "accuracy") & (last["steps"] == 1)}
    told |= {"accuracy, most steps": (last["measure"] == "accuracy") & (last["steps"] == most)}
    told |= {"loss gap, 1 step": (last["measure"] == "gap") & (last["steps"] == 1)}
    cells = pd.concat([last[rows].assign(what=what) for what, rows in told.items()])
    return _wide(cells.assign(cell=cells["value"].map("{:.3f}".format), model=cells["label"]), ["model"], "what")


def autoattack(demo: Demo) -> pd.DataFrame:
    """Accuracy under AutoAttack by eps."""
    frame = demo.read("fig9", source="here")
    eps = [f"{255 * float(value):g}/255" for value in frame["eps"]]
    cells = frame.assign(cell=frame["value"].map(_number), eps=eps, model=frame["label"], images=frame["n"])
    return _wide(cells, ["model", "images"], "eps")


def ablation(demo: Demo) -> pd.DataFrame:
    """Clean and attacked accuracy of every cell of the sweep."""
    frame = demo.read("fig10", measure="accuracy")
    return _wide(frame.assign(cell=frame["value"].map(_number), recipe=frame["cell"]), ["recipe"], "attack")


def semantics(demo: Demo) -> pd.DataFrame:
    """Share of perturbations that other networks give the true class, over these."""
    frame = demo.read("fig11", measure="accuracy")
    found = frame.groupby("label", sort=False)["value"].agg(["mean", "min", "max", "size"]).reset_index()
    shares = {
        name: found[column].map(_number) for name, column in (("mean", "mean"), ("lowest", "min"), ("highest", "max"))
    }
    return pd.DataFrame({"attacked network": found["label"], "judges": found["size"], **shares})


PARTS: dict[str, Callable[[Demo], pd.DataFrame]] = {
    "accuracy": accuracy,
    "subgroups": subgroups,
    "similarity": similarity,
    "agreement": agreement,
    "probes": probes,
    "effectiveness": effectiveness,
    "autoattack": autoattack,
    "ablation": ablation,
    "semantics": semantics,
}


def _beside(demo: Demo, figures: dict[str, str]) -> pd.DataFrame:
    """Means over pairs of several figures, a column for each."""
    cells = [_intervals(demo.read(figure, model="all")).assign(what=what) for what, figure in figures.items()]
    return _wide(pd.concat(cells), ["measure", "eps"], "what")


def _intervals(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with their value and interval as text."""
    ends = zip(frame["value"], frame["lo"], frame["hi"], strict=True)
    return frame.assign(
        cell=[_number(value) + ("" if pd.isna(lo) else f" ({_number(lo)} to {_number(hi)})") for value, lo, hi in ends]
    )


def _p_value(value: float) -> str:
    """A p-value with three digits, or what it is below."""
    return "< 0.001" if value < 0.0005 else f"{value:.3f}"


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.2f}"


def _wide(cells: pd.DataFrame, index: list[str], columns: str) -> pd.DataFrame:
    """A row for each of the values of `index`, a column for each of those of `columns`, in their order.

    Where there are several data sets, each has rows of its own.
    """
    cells = cells.rename(columns={"dataset": "data set"})
    index = ["data set", *index] if cells["data set"].nunique() > 1 else index
    wide = cells.pivot_table(index=index, columns=columns, values="cell", aggfunc="first", sort=False)
    return wide.reset_index().fillna("")


def _markdown(frame: pd.DataFrame) -> str:
    rows = ([f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in row] for row in frame.to_numpy(object))
    return blocks.table([str(column) for column in frame.columns], rows)


def main() -> None:
    """Write the page of the demo in `results`, and copy the pictures that it shows."""
    plan = Plan(schema.read_yaml("config/config.yaml"))
    demo = Demo(Path("results"), {name: row["recipe"] for name, row in plan.models.items()})
    page = blocks.fill(PAGE.read_text(encoding="utf-8"), demo.part)
    for picture in blocks.pictures(page):
        shutil.copy(demo.results / "figures" / picture, PAGE.with_name(picture))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(str(error))
