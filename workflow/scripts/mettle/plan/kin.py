"""Kin: models that share weights, so that one is no independent judge of perturbations against the other."""

import json

from mettle.plan.sheets import Sheets


def check_judge(sheets: Sheets, judge: str, model: str, where: str) -> None:
    """Raise ValueError if a model is to judge perturbations against itself, or against its own kin."""
    if judge == model:
        said = "against itself"
    elif shared := _weights(sheets, judge).keys() & (theirs := _weights(sheets, model)).keys():
        said = f"against '{model}', but both have, or start from, {theirs[min(shared)]}"
    else:
        return
    raise ValueError(f"{where}: '{judge}' is to judge perturbations made {said}: list another judge, or attack another")


def _weights(sheets: Sheets, model: str) -> dict[str, str]:
    """Marks of the weights that a model has or started from, through its bases, each with a description.

    A checkpoint is marked by its source and its SHA-256, a training by everything that its weights depend on.
    """
    found: dict[str, str] = {}
    while model:
        row = sheets.models[model]
        if row["source"] == "train":
            about = [row[key] for key in ("dataset", "arch", "seed")] + [
                row.get("base", ""),
                sheets.recipes.of(row),
            ]
            found[json.dumps(about, sort_keys=True)] = f"the weights of the training '{model}'"
        else:
            marks = [row["source"], row.get("sha256", "")]
            found |= {mark: f"the weights of {row['source']}" for mark in marks if mark}
        model = row.get("base", "")
    return found
