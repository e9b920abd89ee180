"""The start of a training: random weights, or those of another model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mettle import models
from mettle.models import weights
from mettle.models.transfer import FIXED, MODES, freeze
from mettle.seeds import derive
from mettle.typed import ModelRow, Recipe


def start(
    row: ModelRow, recipe: Recipe, base: Sequence[str | Path], say: Callable[[str], None]
) -> tuple[models.Classifier, dict[str, Any]]:
    """A model with its initial weights, and the metadata about them.

    Parameters
    ----------
    row : row of the model, with `classes`; random weights depend on its seed alone
    recipe : the recipe
    base : file with weights that are loaded as far as they fit, or empty
    say : writes a line of the log

    Raises
    ------
    ValueError
        If the network does not end in a linear layer, `base` does not fit, or it lacks a part of a backbone that is not
        to train.
    """
    source, seed = recipe["input"], derive(row["seed"], "init")
    shape = (row["arch"], row["classes"], source["size"], source["mean"], source["std"])
    model = models.create(*shape, seed, drop_path=recipe["drop_path"], code=row.get("code", {}))
    model.check(f"architecture '{row['arch']}'", row["classes"])
    if not base:
        return model, {}
    report = models.finetune(model, base[0], row["dataset"])
    say(f"starts from {base[0]}: {_counts(report)}")
    how = row.get("transfer", "full")
    if how in FIXED and report["missing"]:
        raise ValueError(
            f"model '{row['model']}': transfer '{how}' trains the head alone, but {base[0]} lacks "
            f"{weights.shortened(report['missing'], 3)} of the backbone, which would stay random: take a base of the "
            "same architecture, or transfer 'full'"
        )
    freeze(model, how)
    say(f"transfer {how}: {MODES[how]}")
    return model, {"base": str(base[0]), "finetune": report}


def _counts(report: dict[str, list[str]]) -> str:
    """Number of entries of each kind, and their names unless they were loaded as they are."""
    parts = []
    for kind, names in report.items():
        parts.append(f"{len(names)} {kind}" + (f" ({', '.join(names)})" if names and kind != "loaded" else ""))
    return ", ".join(parts)
