"""The leaderboard: all models side by side, to sort, filter and draw, in one file that works offline."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mettle import markup
from mettle.seeds import derive
from mettle.stages.cards.ranks import ranks
from mettle.units import ball_text

Row = dict[str, Any]
_HERE = Path(__file__).parent
_KEYS = ["dataset", "about", "attack", "norm", "eps", "statistic", "measure", "ids"]
_SHOWN = 8  # columns at first
_ORDER = ("clean", "worst_case", "corruption", "attack", "drift", "published")
_WORDS = {"mpc": "mPC", "rpc": "rPC", "mce": "mCE", "relative_mce": "relative mCE"}


def write(path: str | Path, scores: pd.DataFrame, models: Mapping[str, Row], seed: int, provenance: Row) -> None:
    """Write the leaderboard.

    Parameters
    ----------
    path : the page
    scores : rows of the table `scores` of all models
    models : by name `row`, with label, dataset, task, arch, threat, eps, study
    seed : of the bootstrap of ranks
    provenance : what made the page; `flow.job` gives it
    """
    told = {"models": [_model(name, one["row"]) for name, one in models.items()], "columns": columns(scores, seed)}
    data = json.dumps(told, ensure_ascii=False, allow_nan=False).replace("</", "<\\/")
    body = (_HERE / "leaderboard.html").read_text(encoding="utf-8")
    body = body.replace(
        "<!-- made -->", markup.terms({key: value for key, value in provenance.items() if key != "params"})
    )
    style, script = ((_HERE / f"leaderboard.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    markup.write(path, "Leaderboard", f'{body}<script type="application/json" id="data">{data}</script>', style, script)


def _model(name: str, row: Row) -> Row:
    against = "none" if row["threat"] == "none" else ball_text(row["threat"], row["eps"])
    return {"name": name, "against": against} | {key: row[key] for key in ("label", "dataset", "task", "arch", "study")}


def columns(scores: pd.DataFrame, seed: int) -> list[Row]:
    """A column for every condition that a model was evaluated under, those of most models first.

    Parameters
    ----------
    scores : rows of the table `scores`
    seed : of the bootstrap of ranks
    """
    found = [column for values, part in _parts(scores) for column in _columns(values, part, seed)]
    found.sort(key=lambda column: (-len(column["cells"]), _ORDER.index(column["about"])))
    for number, column in enumerate(found):
        column["shown"] = number < _SHOWN
    return found


def _parts(scores: pd.DataFrame) -> Iterator[tuple[Row, pd.DataFrame]]:
    kept = scores[scores["about"].isin(["clean", "attack", "worst_case", "drift"])]
    means = (scores["about"] == "corruption") & (scores["corruption"] == "mean") & scores["statistic"].isin(_WORDS)
    rows = pd.concat([kept, scores[means]]).dropna(subset=["value"])
    rows = rows.assign(attack=rows["attack"].where(rows["about"] != "worst_case", "worst case"))
    for values, part in rows.groupby(_KEYS, sort=False, dropna=False):
        yield dict(zip(_KEYS, values, strict=True)), part.drop_duplicates("model")


def _columns(key: Row, part: pd.DataFrame, seed: int) -> Iterator[Row]:
    """The column of measured values, and that of published ones where there are any."""
    placed = _ranks(part, seed)
    cells = {}
    for row, place in zip(part.to_dict("records"), placed, strict=True):
        ends = [None if pd.isna(row[end]) else round(row[end], 5) for end in ("lo", "hi")]
        cells[row["model"]] = [round(row["value"], 5), *ends, *place, row["note"]]
    about = {"about": key["about"], "dataset": key["dataset"], "title": _title(key), "n": int(part["n"].iloc[0])}
    # Errors and distances, of which less is better.
    less = key["statistic"] in ("mce", "relative_mce") or "error" in key["measure"] or key["measure"] == "rmse"
    yield about | {"less": less, "cells": cells}
    known = part.dropna(subset=["published"])
    if len(known):
        cells = {row.model: [row.published, None, None, None, None, None, row.source] for row in known.itertuples()}
        words = {"about": "published", "title": f"{_title(key)}, published"}
        yield about | words | {"less": less, "cells": cells, "n": None}


def _ranks(part: pd.DataFrame, seed: int) -> list[list[int | None]]:
    """Rank and its ends for every row, where the answers to every image are known and there are models to compare."""
    if part["right"].isna().any() or len(part) < 2:
        return [[None, None, None]] * len(part)
    n = int(part["n"].iloc[0])
    right = np.stack([np.unpackbits(np.frombuffer(bits, np.uint8), count=n) for bits in part["right"]]).astype(bool)
    return ranks(right, derive(seed, "leaderboard")).tolist()


def _title(key: Row) -> str:
    measure = key["measure"].replace("_", " ")
    if key["about"] == "clean":
        return f"clean {measure}"
    if key["about"] == "corruption":
        return f"{_WORDS[key['statistic']]} {measure}, {key['attack']}"
    ball = ball_text(key["norm"], key["eps"])
    more = "" if measure == "accuracy" else f", {measure}"
    return f"{key['attack']}, {ball}{more}"
