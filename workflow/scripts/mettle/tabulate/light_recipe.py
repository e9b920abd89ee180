"""Rows of figures 7 to 12, from the cells of the attack stage and the epochs of trainings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mettle import data
from mettle.data.item import png
from mettle.stats import share, share_of
from mettle.tabulate.accuracy import summarise

Row = dict[str, Any]
_NONE = {"lo": None, "hi": None, "note": None}
_DEBENEDETTI = "Debenedetti et al. 2023, arXiv:2209.07399"


def figure7(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Means over seeds, and the gap of the loss to that of the most steps.

    Parameters
    ----------
    cells : rows of the effectiveness table
    options : of the figure
    beside : sheet of published values to add, or nothing
    """
    rows = _effectiveness(cells.assign(value=cells["value"].astype(float), source="here"))
    for published in beside:
        wide = pd.read_csv(published, comment="#")
        long = wide.melt(["model", "epoch", "seed", "steps", "n"], ["accuracy", "loss"], "measure")
        clean = wide.rename(columns={"clean": "value"}).assign(measure="accuracy", steps=0)
        both = pd.concat([long, clean[[*long.columns]]])
        fixed = {"dataset": "imagenet", "norm": "linf", "eps": 4 / 255, "source": _DEBENEDETTI}
        rows += _effectiveness(both.assign(**fixed))
    return rows


def _effectiveness(cells: pd.DataFrame) -> list[Row]:
    keys = ["dataset", "model", "norm", "eps", "epoch", "measure", "steps"]
    rows = []
    for values, group in cells.groupby(keys, sort=False):
        cell = dict(zip(keys, values, strict=True)) | {"n": int(group["n"].iloc[0]), "note": None}
        cell |= {"source": group["source"].iloc[0], "lo": group["value"].min(), "hi": group["value"].max()}
        rows.append(cell | {"value": group["value"].mean()})
    losses = [row for row in rows if row["measure"] == "loss" and row["steps"]]
    for row in losses:
        same = [other for other in losses if all(other[key] == row[key] for key in ("model", "epoch", "source"))]
        most = max(same, key=lambda other: other["steps"])
        if row is not most:
            rows.append(row | {"measure": "gap", "value": (most["value"] - row["value"]) / most["value"]} | _NONE)
    return rows


def figure8(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Mean and standard deviation over seeds, per image and number of steps.

    Parameters
    ----------
    cells : rows of the convergence table
    options : of the figure
    beside : sheet of published values to add, or nothing
    """
    keys = ["dataset", "model", "norm", "eps", "id", "steps"]
    ours = cells.assign(value=cells["value"].astype(float)).groupby(keys, sort=False)["value"]
    frame = ours.agg(["mean", "std", "count"]).reset_index().assign(source="here")
    for published in beside:
        theirs = pd.read_csv(published, comment="#").rename(columns={"point": "id", "loss": "mean"})
        fixed = {"dataset": "imagenet", "norm": "linf", "eps": 4 / 255, "count": 20, "source": _DEBENEDETTI}
        frame = pd.concat([frame, theirs.assign(**fixed)], ignore_index=True)
    frame["std"] = frame["std"].fillna(0.0)
    frame = frame.assign(value=frame["mean"], lo=frame["mean"] - frame["std"], hi=frame["mean"] + frame["std"])
    frame = frame.assign(n=frame["count"], measure="loss", note=None).drop(columns=["mean", "std", "count"])
    return frame.astype(object).to_dict("records")


def figure9(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Accuracy by eps; eps 0 is the clean accuracy.

    Parameters
    ----------
    cells : rows of the attack table
    options : of the figure
    beside : sheet of published values to add, or nothing
    """
    keys = ["dataset", "model", "attack", "norm", "eps"]
    rows = []
    for _, group in cells.groupby("model", sort=False):
        first = group[group["attack"] == group["attack"].iloc[0]]
        cell = dict(zip(keys, first[keys].iloc[0], strict=True)) | {"measure": "accuracy", "source": "here"}
        rows.append(cell | {"attack": "clean", "eps": 0.0} | share_of(first["clean_prediction"] == first["label"]))
        for values, part in group.groupby(keys, sort=False):
            rows.append(cell | dict(zip(keys, values, strict=True)) | share_of(part["prediction"] == part["label"]))
    for published in beside:
        fixed = {"dataset": "imagenet", "norm": "linf", "measure": "accuracy", "n": 5000, "source": _DEBENEDETTI}
        for row in pd.read_csv(published, comment="#").itertuples():
            attack = "autoattack" if row.eps_255 else "clean"
            value = {"model": row.model, "attack": attack, "eps": row.eps_255 / 255, "value": row.accuracy}
            rows.append(fixed | value | _NONE)
    return rows


def figure10(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Clean and attacked accuracy of the models of a sweep.

    Parameters
    ----------
    cells : rows of the attack table
    options : of the figure; `cells` holds, per model, the values that its recipe takes in the grid
    """
    keys = ("dataset", "model", "attack", "norm", "eps", "measure", "n", "value", "lo", "hi", "note")
    return [{key: row[key] for key in keys} | {"cell": options["cells"][row["model"]]} for row in summarise(cells)]


def figure11(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Share of perturbations given their true class, per attacked model and judge, and some perturbations as images.

    Parameters
    ----------
    cells : rows of the semantics table
    options : of the figure; `examples` is the number of images per model, the same ids for all
    beside : stores of perturbations, results/perturb/perturbation/{dataset}/{model}/{attack}.lmdb
    """
    keys = ["dataset", "model", "model_b", "attack", "norm", "eps"]
    rows = []
    for values, group in cells.groupby(keys, sort=False):
        cell = dict(zip(keys, values, strict=True)) | {"measure": "accuracy", "id": -1, "image": None}
        rows.append(cell | share_of(group["prediction"] == group["label"]))
    for path in map(Path, beside):
        model = path.parent.name
        cell = dict(zip(keys, cells[cells["model"] == model][keys].iloc[0], strict=True)) | {"model_b": model}
        store = data.Store(path)
        for position in np.linspace(0, len(store) - 1, min(options["examples"], len(store))).astype(int):
            shown = {"measure": "example", "id": int(store.ids[position]), "n": 1, "value": None}
            picture = png(np.asarray(store.image(int(position))))
            rows.append(cell | shown | _NONE | {"image": picture})
    return rows


def figure12(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Learning curves in long form: accuracy while training, and clean and attacked accuracy on held-out images.

    Parameters
    ----------
    cells : rows of the table of epochs
    """
    rows = []
    for epoch in cells.to_dict("records"):
        cell = {"model": epoch["model"], "epoch": epoch["epoch"], **_NONE}
        seen = {"measure": "training", "steps": 0, "n": epoch["n"], "value": epoch["train_accuracy"]}
        rows.append(cell | seen)
        robust = epoch["robust_n"]
        held = [(0, epoch["test_accuracy"], epoch["test_n"]), (1, epoch["one_step_accuracy"], robust)]
        for steps, value, n in [*held, (epoch["robust_steps"], epoch["robust_accuracy"], robust)]:
            if not pd.isna(value):
                rows.append(cell | {"measure": "held out", "steps": steps} | share(round(value * n), n))
    return rows
