"""Everything that was measured of one model, from the files that exist."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mettle import tables
from mettle.seeds import derive
from mettle.stats import proportion
from mettle.tasks import scores
from mettle.tasks.scores.score import result, samples
from mettle.tasks.scores.worst import worst

Row = dict[str, Any]
_DRAWS = 1000
_EMPTY = dict.fromkeys(tables.SCORES.columns)
_OF_DRIFT = {"channels": "own features", "base_channels": "features of the base"}


def scores_of(files: Mapping[str, Sequence[str]], told: Row) -> list[Row]:
    """Rows of the table `scores`.

    Parameters
    ----------
    files : existing files by stage: `attack`, `robustness`, `drift`, `compare`, `agree`
    told : `model` and its `task`; `results`, the folder that files are named below; `autoattack`, names of the attacks
        that published accuracies are of; `published`, rows of sheets of published accuracies; `seed`, for intervals

    Raises
    ------
    ValueError
        If a file is not of its table.
    """
    rows = [row for stage, read in _READERS.items() for row in read(files.get(stage, []), told)]
    return [_EMPTY | {"model": told["model"]} | _beside(row, told) for row in rows]


def _below(path: str, told: Row) -> str:
    return path.removeprefix(f"{told['results']}/")


# Attacks


def _attacks(paths: Sequence[str], told: Row) -> Iterator[Row]:
    """Clean scores once for each set of images, those under each attack, and the worst case over attacks."""
    if told["task"] not in tables.ATTACKED:
        return
    found: dict[tuple, list[tuple[Row, pd.DataFrame]]] = {}
    for path in paths:
        answers = tables.read(path, tables.ATTACKED[told["task"]]).sort_values("id", ignore_index=True)
        cell = {key: answers[key].iloc[0] for key in ("dataset", "split", "attack", "norm", "eps")}
        images = {"ids": _digest(answers["id"]), "file": _below(path, told), "task": told["task"]}
        same = found.setdefault((cell["dataset"], cell["split"], images["ids"]), [])
        if not same:
            clean = cell | images | {"attack": None, "norm": None, "eps": None, "about": "clean"}
            yield from _scored(clean, scores.clean(answers), told)
        under = cell | images | {"about": "attack", "note": tables.doubts_of(answers)}
        yield from _scored(under, answers, told)
        same.append((under, answers))
    if told["task"] == "classification":
        yield from (row for same in found.values() for row in _worst(same))


def _digest(ids: pd.Series) -> str:
    return sha256(ids.to_numpy(np.int64).tobytes()).hexdigest()[:16]


def _scored(cell: Row, answers: pd.DataFrame, told: Row) -> Iterator[Row]:
    """Accuracy, or every score of another task with a bootstrap interval."""
    if cell["task"] == "classification":
        right = (answers["prediction"] == answers["label"]).to_numpy()
        yield _proportion(cell | {"measure": "accuracy"}, right)
        return
    weights = samples(len(answers), _DRAWS, np.random.default_rng(derive(told["seed"], "scores", cell["task"])))
    for name, score in scores.SCORES[cell["task"]].items():
        found = result(score.of(answers, weights), len(answers), score.undefined)
        notes = tables.together(filter(None, [found["note"], cell.get("note")]))
        yield cell | {"measure": name} | found | {"note": notes}


def _proportion(cell: Row, right: np.ndarray) -> Row:
    found = proportion(int(right.sum()), len(right)) | {"right": np.packbits(right).tobytes()}
    return cell | found | {"note": cell.get("note")}


def _worst(same: list[tuple[Row, pd.DataFrame]]) -> Iterator[Row]:
    """The worst case of every norm and eps that has several attacks, all on the same images."""
    under = {cell["attack"]: cell for cell, _ in same}
    for keys, answers in worst(pd.concat([answers for _, answers in same])):
        names = keys["over"].split(", ")
        if len(names) > 1:
            notes = tables.together(filter(None, (under[name]["note"] for name in names)))
            about = {"about": "worst_case", "measure": "accuracy", "attack": keys["over"], "eps": keys["eps"]}
            right = (answers["prediction"] == answers["label"]).sort_index().to_numpy()
            yield _proportion(under[names[-1]] | about | {"note": notes}, right)


# Corruptions, features, and other models


def _robustness(paths: Sequence[str], told: Row) -> Iterator[Row]:
    """Clean scores under their own, means over severities of every corruption, and the means over corruptions."""
    for path in paths:
        rows = tables.read(path, tables.ROBUSTNESS)
        means = rows["severity"].isna() | (rows["corruption"] == "clean")
        for row in _plain(rows[means].drop(columns="severity")):
            yield row | {"about": "corruption", "file": _below(path, told), "attack": Path(path).stem}


def _drift(paths: Sequence[str], told: Row) -> Iterator[Row]:
    """Mean cosine of the features of attacked images to those of clean ones."""
    for path in paths:
        rows = tables.read(path, tables.DRIFT)
        cell = {key: rows[key].iloc[0] for key in ("dataset", "split", "attack", "norm", "eps")}
        weights = samples(len(rows), _DRAWS, np.random.default_rng(derive(told["seed"], "scores", "drift")))
        for column, words in _OF_DRIFT.items():
            found = result(weights @ rows[column].to_numpy(float) / len(rows), len(rows), "not finite")
            about = {"about": "drift", "measure": f"cosine to {words}", "file": _below(path, told)}
            yield cell | about | found | {"ids": _digest(rows["id"].sort_values())}


def _pairs(about: str, table: tables.Table) -> Callable[[Sequence[str], Row], Iterator[Row]]:
    """Reader of scores of pairs, of which the model is one; the other becomes `model_b`."""

    def read(paths: Sequence[str], told: Row) -> Iterator[Row]:
        for path in paths:
            rows = tables.read(path, table)
            first = rows["model"] == told["model"]
            rows = rows.assign(model_b=rows["model_b"].where(first, rows["model"]))[
                first | (rows["model_b"] == told["model"])
            ]
            for row in _plain(rows):
                yield row | {"about": about, "model": told["model"], "file": _below(path, told)}

    return read


def _plain(rows: pd.DataFrame) -> list[Row]:
    """Rows as dicts with the columns of `scores` alone, undefined ones None."""
    kept = rows[[name for name in rows if name in _EMPTY]].astype(object)
    return kept.where(kept.notna(), None).to_dict("records")


def _beside(row: Row, told: Row) -> Row:
    """The row with the published value of the same: clean, or under AutoAttack of the same norm and eps."""
    for known in told["published"]:
        if row.get("measure") != "accuracy" or known["images"] != row["dataset"]:
            continue
        attacked = row["about"] == "attack" and row["attack"] in told["autoattack"]
        if row["about"] == "clean":
            return row | {"published": known["clean"], "source": known["source"]}
        if attacked and "autoattack" in known and (known["norm"], known["eps"]) == (row["norm"], row["eps"]):
            return row | {"published": known["autoattack"], "source": known["source"]}
    return row


_READERS: dict[str, Callable[[Sequence[str], Row], Iterator[Row]]] = {
    "attack": _attacks,
    "robustness": _robustness,
    "drift": _drift,
    "compare": _pairs("similarity", tables.COMPARE),
    "agree": _pairs("agreement", tables.AGREE),
}
