"""Rows of figures 1 to 6 and 13 to 15: pairs of models, and their means with an interval over models."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mettle import data, tables
from mettle.data.item import png, square
from mettle.seeds import derive
from mettle.stages.tabulate.multiplicity import ambiguity, discrepancy
from mettle.stats import over_models, paired_test

Row = dict[str, Any]
Keys = tuple[str, str, str]  # data set, images, model
ALL = {"model": "all", "model_b": "all"}
CONTRASTS = ("agree", "disagree"), ("right", "wrong"), ("confident", "unsure")


def similarity(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Scores of the pairs that a figure shows, and their means per data set, eps and measure.

    Parameters
    ----------
    cells : rows of the compare table
    options : of the figure; `models` are those shown
    """
    shown = among(cells, options["models"])
    averages = []
    for cell, group, mean in means(shown, options["seed"]):
        others = {name: average(group[name]) for name in ("baseline", "floor", "calibrated")} | {"p": None}
        averages.append(cell | mean | others | {"method": group["method"].iloc[0]})
    return records(shown) + averages


def by_k(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """As `similarity`, with the number of neighbours of each measure; `options["k"]` has it by measure."""
    return [row | {"k": options["k"][row["measure"]]} for row in similarity(cells, options, beside)]


def agreement(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Functional similarity of the pairs that a figure shows, their means, ambiguity and discrepancy of each group.

    Parameters
    ----------
    cells : rows of the agree table
    options : of the figure; `models` are those shown
    beside : representations of these models, or folders with them
    """
    shown = among(cells, options["models"])
    found = means(shown, options["seed"])
    rows = records(shown) + [cell | mean for cell, _, mean in found]
    answers = _identified(map(Path, beside))
    for cell, group, _ in found:
        if cell["measure"] == "disagreement":
            rows += [cell | row for row in _of_group(cell["dataset"], group, answers)]
    return rows


def _of_group(dataset: str, group: pd.DataFrame, files: dict[Keys, Path]) -> list[Row]:
    """Ambiguity and discrepancy of the models of a group; mean over image sets where there are several."""
    members = {*group["model"], *group["model_b"]}
    scores, n = [], 0
    for images in dict.fromkeys(images for _, images, _ in files):
        shown = images in set(group["images"])
        paths = [path for keys, path in files.items() if shown and keys[:2] == (dataset, images) and keys[2] in members]
        if paths:
            answers = _answers(paths)
            n += len(answers[0])
            scores.append((ambiguity(answers), discrepancy(answers)))
    values = np.mean(scores, axis=0)
    none = {"lo": None, "hi": None, "note": f"{len(members)} models"}
    names = ("ambiguity", "discrepancy")
    return [{"measure": name, "n": n, "value": float(x)} | none for name, x in zip(names, values, strict=True)]


def _identified(paths: Iterable[Path]) -> dict[Keys, Path]:
    """Representations by data set, images and model: these files, and those in the folders among them."""
    files = [file for path in paths for file in (sorted(path.glob("*/*.parquet")) if path.is_dir() else [path])]
    names = ["dataset", "images", "model"]
    return {tuple(tables.read(file, tables.REPRESENT, names).iloc[0]): file for file in files}


def _answers(paths: Sequence[Path]) -> list[np.ndarray]:
    """Predictions of several files for the same images, in one order; ValueError if their images differ."""
    frames = []
    for path in paths:
        frame = tables.read(path, tables.REPRESENT, ["id", "prediction"]).set_index("id").sort_index()
        if frame.index.has_duplicates:
            raise ValueError(f"{path} holds image {frame.index[frame.index.duplicated()][0]} more than once")
        if frames and not frame.index.equals(frames[0].index):
            raise ValueError(f"{paths[0]} and {path} hold different images")
        frames.append(frame)
    return [frame["prediction"].to_numpy() for frame in frames]


def figure5(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Scores of pairs on the two parts of a split, and the tests of `contrast`.

    Parameters
    ----------
    cells : rows of the subgroups table
    options : of the figure; `models` are those shown
    """
    shown = among(cells, options["models"]).assign(p=None)
    return records(shown) + contrast(shown, options["resamples"], options["seed"])


def contrast(cells: pd.DataFrame, resamples: int, seed: int) -> list[Row]:
    """Rows of paired permutation tests, one per measure, eps and contrast of subgroups.

    The paired differences are those of unordered pairs of models; `value` is their mean, `lo` and `hi` its 95 %
    bootstrap interval over models, `p` the two-sided p-value of randomly flipped signs. Like the
    original, this treats pairs as independent although they share models: p is somewhat too small.
    """
    rows = []
    for (dataset, images, measure, eps), cell in cells.groupby(["dataset", "images", "measure", "eps"], sort=False):
        wide = cell.pivot(index=["model", "model_b"], columns="subgroup", values="value").astype(float)
        for a, b in (names for names in CONTRASTS if names[0] in wide):
            for suffix in ("", "_matched"):
                keys = {"dataset": dataset, "images": images, "subgroup": f"{a}{suffix} - {b}{suffix}", **ALL}
                keys |= {"norm": cell["norm"].iloc[0], "eps": eps, "measure": measure, "method": cell["method"].iloc[0]}
                both = wide[[f"{a}{suffix}", f"{b}{suffix}"]].dropna()
                difference = both.iloc[:, 0] - both.iloc[:, 1]
                tested = _test(difference, resamples, derive(seed, measure, eps, f"{a}{suffix}"))
                rows.append(keys | tested | {"note": tested["note"] or _few(cell, both)})
    return rows


def _few(cell: pd.DataFrame, both: pd.DataFrame) -> str | None:
    """Notes of the scores that are tested."""
    notes = cell.pivot(index=["model", "model_b"], columns="subgroup", values="note").loc[both.index, both.columns]
    return tables.together(f"of some pairs a score {note}" for note in notes.to_numpy().ravel() if not pd.isna(note))


def _test(difference: pd.Series, resamples: int, seed: int) -> Row:
    n = len(difference)
    if n < 2:
        note = "a test needs two pairs of models or more"
        return {"n": n, "value": None, "lo": None, "hi": None, "note": note, "p": None}
    value, lo, hi = over_models(difference.index.tolist(), difference.tolist(), seed)
    p = paired_test(difference.to_numpy(), resamples, seed)
    return {"n": n, "value": value, "lo": lo, "hi": hi, "note": None, "p": p}


def figure6(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Agreement of pairs by head, and means; a model's own probes count in no mean.

    Parameters
    ----------
    cells : rows of the probe_agree table
    options : of the figure; `models` are those shown
    """
    shown = among(cells, options["models"])
    pairs = shown[shown["model"] != shown["model_b"]]
    return records(shown) + [cell | mean for cell, _, mean in means(pairs, options["seed"])]


def figure1(cells: pd.DataFrame, options: Row, beside: Sequence[str]) -> list[Row]:
    """Some targets, their seeds, and the inverted image for each model, as images.

    Parameters
    ----------
    cells : rows of the pairs table
    options : of the figure; `rows` holds norm and eps of each model, `labels` its label
    beside : the store of clean images, then one of inverted images per model of `rows`, in their order
    """
    clean, *stores = (data.Store(path) for path in beside)
    places = np.linspace(0, len(cells) - 1, min(options["examples"], len(cells))).astype(int)
    chosen = cells.iloc[places]
    side = stores[0].image(0).width
    fixed = {"dataset": options["dataset"], "n": 1, "lo": None, "hi": None, "note": None}
    rows = []
    for pair in chosen.itertuples():
        for measure, number in (("seed", pair.seed_id), ("target", pair.id)):
            picture = square(clean.image(clean.position(number)), side)
            cell = {"model": "natural", "label": measure, "norm": None, "eps": 0.0, "measure": measure, "id": pair.id}
            rows.append(fixed | cell | {"value": None, "image": png(np.asarray(picture))})
    for (model, ball), store in zip(options["rows"].items(), stores, strict=True):
        losses = tables.read(store.path.with_suffix(".parquet"), tables.INVERTED, ["id", "loss"]).set_index("id")[
            "loss"
        ]
        for number in chosen["id"]:
            picture = store.image(store.position(number))
            cell = {"model": model, "label": options["labels"][model], "measure": "inverted", "id": number}
            cell |= {"value": float(losses[number])}
            rows.append(fixed | ball | cell | {"image": png(np.asarray(picture))})
    return rows


def among(cells: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Rows of pairs of which both models are shown."""
    return cells[cells["model"].isin(models) & cells["model_b"].isin(models)]


def means(pairs: pd.DataFrame, seed: int) -> list[tuple[Row, pd.DataFrame, Row]]:
    """Per data set, kind of images, norm, eps and measure: its keys, its rows, and mean and interval over models."""
    kind = pairs["images"].str.replace(r"-.*", "", regex=True)
    found = []
    for (dataset, images, eps, measure), group in pairs.groupby(["dataset", kind, "eps", "measure"], sort=False):
        cell = {"dataset": dataset, "images": images, **ALL, "norm": group["norm"].iloc[0], "eps": eps}
        cell |= {"measure": measure}
        known = group[group["value"].notna()]
        note = None if len(known) == len(group) else f"{len(group) - len(known)} pairs have no value"
        if known.empty:
            mean = {"value": None, "lo": None, "hi": None}
        else:
            both = list(zip(known["model"], known["model_b"], strict=True))
            numbers = over_models(
                both, known["value"].astype(float).tolist(), derive(seed, dataset, images, eps, measure)
            )
            mean = dict(zip(("value", "lo", "hi"), numbers, strict=True))
        found.append((cell, group, mean | {"n": len(known), "note": note}))
    return found


def average(values: pd.Series) -> float | None:
    """Mean of the values that are not null; None if there are none."""
    known = values.dropna().astype(float)
    return None if known.empty else float(known.mean())


def records(frame: pd.DataFrame) -> list[Row]:
    """Rows as mappings, null as None."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")
