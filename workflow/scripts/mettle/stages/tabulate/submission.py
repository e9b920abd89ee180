"""
A model as RobustBench's leaderboard takes submissions (github.com/RobustBench/robustbench, folder `model_info`).

One JSON file with accuracies in per cent and facts about the paper, and, beside it, the answers for every image.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mettle import tables
from mettle.files import atomic
from mettle.flow import Job
from mettle.units import ball_text, eps_text

Row = dict[str, Any]

# Number of images on which the leaderboard evaluates, by data set here.
_IMAGES = {"cifar10": 10_000, "cifar100": 10_000, "imagenet_rb5000": 5_000}
_NAMES = {"imagenet_rb5000": "imagenet"}
_THREATS = {"linf": "Linf", "l2": "L2"}
_ALL = "all"


def write(cells: Sequence[str | Path], facts: Row, target: str | Path, masks: str | Path, job: Job) -> None:
    """Write a submission and the answers that it is made from.

    Parameters
    ----------
    cells : attack tables of one model on the same images, in one ball
    facts : `model`, `attack` (which cell is the standard AutoAttack), `threat`, `eps`, `arch`, `label`, `reference`,
        `extra_data`, and `paper`, a row of a sheet of published numbers, or empty
    target : JSON file to write
    masks : table `submission` to write
    job : log, provenance

    Raises
    ------
    ValueError
        If the cells are not of the same images.
    """
    answers = tables.concat(cells, tables.ATTACK)
    rows = pd.DataFrame(_correct(answers))
    found = submission(answers, rows, facts)
    tables.write(masks, tables.SUBMISSION, rows, job.provenance)
    with atomic(target) as tmp:
        tmp.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    empty = [key for key, value in found.items() if value in ("", None)]
    name = f"model_info/{found['dataset']}/{_THREATS.get(facts['threat'], facts['threat'])}/NAME.json"
    job.say(f"goes to {name} of the leaderboard" + (f"; to be filled in: {', '.join(empty)}" if empty else ""))


def submission(answers: pd.DataFrame, rows: pd.DataFrame, facts: Row) -> Row:
    """The entries of the JSON file, in the order of the leaderboard's own.

    Parameters
    ----------
    answers : rows of the attack table
    rows : of the table `submission`
    facts : as in `write`
    """
    paper, standard = facts["paper"], answers[answers["attack"] == facts["attack"]]
    doubts, n = tables.doubts_of(standard), len(standard)
    dataset = str(standard["dataset"].iloc[0])
    attacked, worst = (rows[rows["attack"] == name] for name in (facts["attack"], _ALL))
    found = {
        "link": paper.get("link", ""),
        "name": paper.get("title") or facts["reference"],
        "authors": paper.get("authors", ""),
        "additional_data": bool(paper.get("extra_data")) if paper else facts["extra_data"],
        "number_forward_passes": 1,
        "dataset": _NAMES.get(dataset, dataset),
        "venue": paper.get("venue", ""),
        "architecture": paper.get("architecture") or facts["arch"],
        "eps": eps_text(facts["eps"]),
        "clean_acc": _percent(attacked["clean_correct"]),
        "reported": f"{100 * paper['reported']:.2f}" if "reported" in paper else _percent(attacked["correct"]),
        "footnote": _footnote(facts, doubts, n, dataset),
        "autoattack_acc": _percent(attacked["correct"]),
        "unreliable": doubts is not None,
    }
    if len(worst) and worst["correct"].sum() < attacked["correct"].sum():
        found["external"] = _percent(worst["correct"])
    return found


def _footnote(facts: Row, doubts: str | None, n: int, dataset: str) -> str:
    parts = [f"{ball_text(facts['threat'], facts['eps'])}, standard AutoAttack, {n:,} images"]
    if n != _IMAGES.get(dataset, n):
        parts.append(f"the leaderboard has {_IMAGES[dataset]:,}")
    return "; ".join([*parts, *filter(None, [doubts])])


def _percent(correct: pd.Series) -> str:
    return f"{100 * correct.mean():.2f}"


def _correct(answers: pd.DataFrame) -> Iterator[Row]:
    """Rows of the table `submission`: those of each attack, then those of all together if there are several."""
    keys = [name for name in tables.SUBMISSION.columns if name not in ("clean_correct", "correct")]
    shown = answers[keys].assign(
        clean_correct=answers["clean_prediction"] == answers["label"],
        correct=answers["prediction"] == answers["label"],
    )
    by_attack = dict(list(shown.groupby("attack", sort=False)))
    images = {name: frozenset(part["id"]) for name, part in by_attack.items()}
    if len(set(images.values())) > 1:
        counts = ", ".join(f"{len(ids)} of '{name}'" for name, ids in images.items())
        raise ValueError(f"the attacks are not on the same images ({counts}): give them the same `images`")
    yield from shown.to_dict("records")
    if len(by_attack) > 1:
        first = next(iter(by_attack.values())).assign(attack=_ALL).set_index("id", drop=False)
        yield from first.assign(correct=shown.groupby("id")["correct"].all()).to_dict("records")
