"""Rows of the figures of robustness tokens."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mettle import tables
from mettle.seeds import derive
from mettle.tasks import scores
from mettle.tasks.scores.score import result, samples

Row = dict[str, Any]

# Measures of the table of features by the column of `drift` that they are the mean of.
_OF = {"base": "base_", "own": "", "clean": "clean_"}
_AXES = {"": "channels", "_tokens": "tokens", "_class_token": "class_token"}
_DRAWS = 1000
_SHOWN = (64, 128)  # tokens and channels that a surface can show
_BATCH = 8  # images per update of the published trainings


def training(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Similarities by step, and published ones behind them.

    Parameters
    ----------
    cells : rows of the table `tokens_steps`
    options : of the figure, with `rows`, the label and number of tokens of every model
    beside : table of published objectives, or none
    """
    cells = cells.assign(objective=cells["invariance"] + cells["adversarial"])
    columns = ["invariance", "adversarial", "plain", "objective"]
    long = cells.melt(["model", "step", "n"], columns, var_name="measure")
    ours = [row | {"source": None} | _named(options, row["model"]) for row in long.to_dict("records")]
    published = [row for path in beside for row in pd.read_csv(path, sep="\t", comment="#").to_dict("records")]
    others = [row | {"measure": "objective", "label": f"{row['model']} (published)", "n": _BATCH} for row in published]
    return [row | {"lo": None, "hi": None, "note": None} for row in ours + others]


def features(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Means over images with intervals, by model and attack.

    Parameters
    ----------
    cells : rows of the table `drift`
    options : of the figure, with `seed`, and `rows`, about every model
    beside : nothing
    """
    found = []
    keys = ["dataset", "split", "model", "attack", "norm", "eps", "through"]
    for key, rows in cells.groupby(keys, sort=False):
        told, model = dict(zip(keys, key, strict=True)), key[2]
        told |= _named(options, model) | {"trained": options["rows"][model]["steps"]}
        plain = cells[(cells["model"] == options["rows"][model]["base"]) & (cells["attack"] == told["attack"])]
        found += [told | {"measure": measure} | value for measure, value in _measured(rows, plain, options["seed"])]
    return found


def downstream(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Scores of every model, of clean images and under each attack, with intervals.

    Parameters
    ----------
    cells : rows of the attack tables
    options : of the figure, with `seed`, `rows`, about every model, and `seen`, the model that each attack saw
    beside : nothing
    """
    found, done = [], set()
    for (model, attack), rows in cells.groupby(["model", "attack"], sort=False):
        about, rows = options["rows"][model], rows.dropna(axis=1, how="all")
        told = {key: rows[key].iloc[0] for key in ("dataset", "split", "model", "norm", "eps")}
        told |= about
        if model not in done:
            clean = told | {"attack": "clean", "norm": None, "eps": 0.0, "through": None}
            found += [clean | value for value in _scored(scores.clean(rows), about["task"], options["seed"])]
        done.add(model)
        told |= {"attack": attack, "through": options["seen"][attack]}
        doubts = tables.doubts_of(_without_surrogate(rows))
        for value in _scored(rows, about["task"], options["seed"]):
            found.append(told | value | {"note": tables.together(filter(None, [value["note"], doubts]))})
    return found


def _without_surrogate(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose notes do not say which model the attack saw, for which the table has a column."""
    if "note" not in rows:
        return rows
    notes = rows["note"].str.replace(r"^attacked through [^;]+(; )?", "", regex=True)
    return rows.assign(note=notes.where(notes != "", None))


def _scored(answers: pd.DataFrame, task: str, seed: int) -> list[Row]:
    """Scores of a task; the same images are drawn for every model and attack."""
    weights = samples(len(answers), _DRAWS, np.random.default_rng(derive(seed, "tokens_downstream", task)))
    return [
        {"measure": name} | result(score.of(answers, weights), len(answers), score.undefined)
        for name, score in scores.SCORES[task].items()
    ]


def activations(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Means over images with intervals, by model, layer and condition; then one image's activations at one layer.

    Parameters
    ----------
    cells : rows of the table `activations`
    options : of the figure, with `seed` and `labels` of the models
    beside : tables of all activations of an image, or none
    """
    found = []
    keys = ["dataset", "split", "model", "layer", "attack", "norm", "eps", "through"]
    for key, rows in cells.groupby(keys, sort=False, dropna=False):
        weights = samples(len(rows), _DRAWS, np.random.default_rng(derive(options["seed"], "tokens_activations")))
        mean = result(weights @ rows["largest"].to_numpy(float) / len(rows), len(rows), "not finite")
        about = {"measure": "largest", "token": None, "activations": None, "label": options["labels"][key[2]]}
        found.append(_told(keys, key) | about | mean)
    return found + [row for path in beside for row in _surface(path, keys, options)]


def _surface(path: str, keys: list[str], options: Row) -> list[Row]:
    """Rows of one image's activations at the layer that the figure shows."""
    frame = tables.read(path, tables.SURFACE)
    if options["surface"] not in set(frame["layer"]):
        raise ValueError(
            f"configuration: figures.tokens_activations.surface: {path} has no layer '{options['surface']}'; known: "
            f"{', '.join(dict.fromkeys(frame['layer']))}"
        )
    found = []
    for key, rows in frame[frame["layer"] == options["surface"]].groupby(keys, sort=False, dropna=False):
        told = _told(keys, key) | {"measure": "surface", "label": options["labels"][key[2]]}
        told |= {"n": 1, "value": None, "lo": None, "hi": None, "note": None}
        grid = coarse(np.stack(rows["activations"]), _SHOWN)
        found += [told | {"token": token, "activations": line} for token, line in enumerate(grid)]
    return found


def _told(keys: list[str], values: tuple) -> Row:
    """Key columns of a group; those that clean images lack are null."""
    return {key: None if pd.isna(value) else value for key, value in zip(keys, values, strict=True)}


def coarse(grid: np.ndarray, most: tuple[int, int]) -> np.ndarray:
    """A grid with at most so many lines and columns, each the largest of as many neighbours as it stands for."""
    for axis, size in enumerate(most):
        step = -(-grid.shape[axis] // size)
        grid = np.maximum.reduceat(grid, np.arange(0, grid.shape[axis], step), axis=axis)
    return grid


def _named(options: Row, model: str) -> Row:
    return {key: options["rows"][model][key] for key in ("label", "n_tokens")}


def _measured(rows: pd.DataFrame, plain: pd.DataFrame, seed: int) -> list[tuple[str, Row]]:
    """Measures of a cell and their results; the same images are drawn for every model."""
    weights = samples(len(rows), _DRAWS, np.random.default_rng(derive(seed, "tokens_features")))
    values = {f"{name}{axis}": rows[f"{of}{column}"] for name, of in _OF.items() for axis, column in _AXES.items()}
    paired = rows.merge(plain, on="id", suffixes=("", "_plain"), validate="one_to_one")
    values |= {
        f"gain{axis}": paired[f"base_{column}"].astype(float) - paired[f"base_{column}_plain"].astype(float)
        for axis, column in _AXES.items()
    }
    means = {name: weights @ value.to_numpy(float) / len(rows) for name, value in values.items()}
    return [(name, result(mean, len(rows), "the network has no class token")) for name, mean in means.items()]
