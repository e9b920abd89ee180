"""Rows of figures 7 to 12, from the cells of the attack stage and the epochs of trainings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mettle import data, tables
from mettle.data.item import png
from mettle.stages.tabulate.accuracy import summarise
from mettle.stats import proportion, proportion_of
from mettle.units import eps_text

Row = dict[str, Any]
_NONE = {"lo": None, "hi": None, "note": None}
_DEBENEDETTI = "Debenedetti et al. 2023, arXiv:2209.07399"


def _labelled(rows: list[Row], options: Row) -> list[Row]:
    """Rows with the label of their model; a published one has its name."""
    labels = options["labels"]
    return [
        row | {"label": labels[row["model"]] if row["source"] == "here" else f"{row['model']} (published)"}
        for row in rows
    ]


def figure7(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Means over seeds, and the gap of the loss to that of the most steps.

    Parameters
    ----------
    cells : rows of the effectiveness table
    options : of the figure; `labels` by model
    beside : sheet of published values to add, or nothing
    """
    rows = _effectiveness(cells.assign(value=cells["value"].astype(float), source="here"))
    for published in beside:
        wide = pd.read_csv(published, comment="#")
        long = wide.melt(["model", "epoch", "seed", "steps", "n"], ["accuracy", "loss"], "measure").assign(attack="pgd")
        clean = wide.rename(columns={"clean": "value"}).assign(measure="accuracy", steps=0, attack="clean")
        both = pd.concat([long, clean[[*long.columns]]])
        fixed = {"dataset": "imagenet", "norm": "linf", "eps": 4 / 255, "source": _DEBENEDETTI}
        rows += _effectiveness(both.assign(**fixed))
    return _labelled(rows, options)


def _effectiveness(cells: pd.DataFrame) -> list[Row]:
    keys = ["dataset", "model", "attack", "norm", "eps", "epoch", "measure", "steps"]
    rows = []
    for values, group in cells.groupby(keys, sort=False, dropna=False):
        cell = dict(zip(keys, values, strict=True)) | {"n": int(group["n"].iloc[0]), "note": _notes(group)}
        cell["epoch"] = None if pd.isna(cell["epoch"]) else int(cell["epoch"])
        cell |= {"source": group["source"].iloc[0], "lo": group["value"].min(), "hi": group["value"].max()}
        rows.append(cell | {"value": group["value"].mean()})
    return rows + _gaps([row for row in rows if row["measure"] == "loss" and row["attack"] != "clean"])


def _gaps(losses: list[Row]) -> list[Row]:
    """How far each loss is below that of PGD with the most steps, with the same weights, images and ball."""
    same = ("dataset", "model", "norm", "eps", "epoch", "source", "n")
    groups: dict[tuple, list[Row]] = {}
    for row in losses:
        groups.setdefault(tuple(row[key] for key in same), []).append(row)
    rows = []
    for group in groups.values():
        most = max((row for row in group if row["attack"] == "pgd"), key=lambda row: row["steps"])
        for row in group:
            if row is not most:
                gap = {"measure": "gap", "lo": None, "hi": None}
                rows.append(row | gap | _gap(row["value"], most["value"], row["note"]))
    return rows


def _gap(loss: float, most: float, note: str | None) -> Row:
    if not most:
        return {"value": None, "note": tables.together([note] * bool(note) + ["the loss of the most steps is zero"])}
    return {"value": (most - loss) / most, "note": note}


def _notes(group: pd.DataFrame) -> str | None:
    return tables.together(group["note"].dropna()) if "note" in group else None


def figure8(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Mean and standard deviation over seeds, per image and number of steps.

    Parameters
    ----------
    cells : rows of the convergence table
    options : of the figure; `labels` by model
    beside : sheet of published values to add, or nothing
    """
    keys = ["dataset", "model", "norm", "eps", "id", "steps"]
    rows = []
    for values, group in cells.astype({"value": float}).groupby(keys, sort=False):
        spread = {"mean": group["value"].mean(), "std": group["value"].std(), "n": len(group)}
        rows.append(dict(zip(keys, values, strict=True)) | spread | {"source": "here", "note": _notes(group)})
    for published in beside:
        theirs = pd.read_csv(published, comment="#").rename(columns={"point": "id", "loss": "mean"})
        fixed = {"dataset": "imagenet", "norm": "linf", "eps": 4 / 255, "n": 20, "source": _DEBENEDETTI, "note": None}
        rows += theirs.assign(**fixed).astype(object).to_dict("records")
    return _labelled([_spread(row) for row in rows], options)


def _spread(row: Row) -> Row:
    """Mean and standard deviation as value and interval; one seed has no interval."""
    cell = {key: value for key, value in row.items() if key not in ("mean", "std")}
    known = row["n"] > 1
    lo, hi = (row["mean"] + side * row["std"] if known else None for side in (-1, 1))
    return cell | {"measure": "loss", "value": row["mean"], "lo": lo, "hi": hi}


def figure9(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Accuracy by eps; eps 0 is the clean accuracy.

    Parameters
    ----------
    cells : rows of the attack table
    options : of the figure; `labels` by model
    beside : sheet of published values to add, or nothing
    """
    rows = [_without(row, "split") | {"source": "here"} for row in summarise(cells)]
    for published in beside:
        fixed = {"dataset": "imagenet", "norm": "linf", "measure": "accuracy", "n": 5000, "source": _DEBENEDETTI}
        for row in pd.read_csv(published, comment="#").itertuples():
            attack = "autoattack" if row.eps_255 else "clean"
            value = {"model": row.model, "attack": attack, "eps": row.eps_255 / 255, "value": row.accuracy}
            rows.append(fixed | value | _NONE | {"clean": None})
    return _labelled(rows, options)


def _without(row: Row, *keys: str) -> Row:
    return {key: value for key, value in row.items() if key not in keys}


def figure10(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Clean and attacked accuracy of the models of a sweep.

    Parameters
    ----------
    cells : rows of the attack table
    options : of the figure; per model, `cells` holds in words what its recipe takes of the grid, `values` by key
    """
    places = _places(options["values"])
    cells_of = options["cells"]
    found = [_without(row, "split") for row in summarise(cells)]
    return [row | {"cell": cells_of[row["model"]]} | places[row["model"]] for row in found]


def _places(cells: dict[str, Row]) -> dict[str, Row]:
    """Position of each model on the axis of its sweep.

    A sweep that varies one number, or a number and one other key, is a curve over it, or one for each value of the
    other; of two numbers the one with more values is the axis. Other sweeps are cells without order.
    """
    values = {key: list(dict.fromkeys(cell[key] for cell in cells.values())) for key in next(iter(cells.values()))}
    varied = [key for key, found in values.items() if len(found) > 1]
    numbers = [key for key in varied if all(_is_number(value) for value in values[key])]
    if not numbers or len(varied) > 2:
        return {model: {"swept": None, "at": None, "other": None} for model in cells}
    axis = max(numbers, key=lambda key: len(values[key]))
    others = [key for key in varied if key != axis]
    return {model: _place(cell, axis, others) for model, cell in cells.items()}


def _place(cell: Row, axis: str, others: list[str]) -> Row:
    words = [f"{_last(key)} {eps_text(cell[key]) if _last(key) == 'eps' else cell[key]}" for key in others]
    return {"swept": _last(axis), "at": float(cell[axis]), "other": words[0] if words else None}


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def figure11(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Fraction of perturbations given their true class, per attacked model and judge, and some perturbations as images.

    Parameters
    ----------
    cells : rows of the semantics table
    options : of the figure; `examples` is the number of images per model, the same ids for all; `labels` by
        model
    beside : a store of perturbations per model of the options, in their order
    """
    keys = ["dataset", "model", "model_b", "attack", "norm", "eps"]
    rows = []
    for values, group in cells.groupby(keys, sort=False):
        cell = dict(zip(keys, values, strict=True)) | {"measure": "accuracy", "id": -1, "image": None}
        found = proportion_of(group["prediction"] == group["label"])
        rows.append(cell | found | {"note": tables.doubts_of(group)})
    for model, path in zip(options["models"], beside, strict=True):
        own = cells[cells["model"] == model]
        cell = dict(zip(keys, own[keys].iloc[0], strict=True)) | {"model_b": model}
        store = data.Store(path)
        for position in np.linspace(0, len(store) - 1, min(options["examples"], len(store))).astype(int):
            shown = {"measure": "example", "id": int(store.ids[position]), "n": 1, "value": None}
            picture = png(np.asarray(store.image(int(position))))
            rows.append(cell | shown | _NONE | {"image": picture, "note": tables.doubts_of(own)})
    labels = options["labels"]
    return [row | {"label": labels[row["model"]], "label_b": labels[row["model_b"]]} for row in rows]


def figure12(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Learning curves in long form: accuracy while training, and clean and attacked accuracy on held-out images.

    Parameters
    ----------
    cells : rows of the table of epochs
    options : of the figure; `labels` by model
    beside : sheet of published values to add, or nothing
    """
    rows = []
    for epoch in cells.to_dict("records"):
        cell = {"model": epoch["model"], "epoch": epoch["epoch"], "source": "here", **_NONE}
        seen = {"measure": "training", "steps": 0, "n": epoch["n"], "value": epoch["train_accuracy"]}
        rows.append(cell | seen)
        robust = epoch["robust_n"]
        held = [(0, epoch["test_accuracy"], epoch["test_n"]), (1, epoch["one_step_accuracy"], robust)]
        for steps, value, n in [*held, (epoch["robust_steps"], epoch["robust_accuracy"], robust)]:
            if not pd.isna(value):
                note = epoch["alarm"] if steps and not pd.isna(epoch["alarm"]) else None
                rows.append(
                    cell | {"measure": "held out", "steps": steps} | proportion(round(value * n), n) | {"note": note}
                )
    for published in beside:
        theirs = pd.read_csv(published, comment="#").rename(columns={"accuracy": "value"})
        theirs = theirs.assign(source=_DEBENEDETTI, note=None).astype(object)
        rows += theirs.where(theirs.notna(), None).to_dict("records")
    return _labelled(rows, options)
