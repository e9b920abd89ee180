"""Metadata of files of heads."""

from typing import Any

from mettle.digests import fingerprint
from mettle.flow import Job
from mettle.models.weights import HEAD, REQUIRED
from mettle.typed import ModelRow


def described(
    row: ModelRow, recipe: dict[str, Any], base: dict[str, Any], base_sha256: str, job: Job
) -> dict[str, Any]:
    """Metadata of a head of classification; those of one head, `mettle.models.linear.ABOUT`, come beside.

    Parameters
    ----------
    row : model, dataset, classes, base, recipe, threat, eps, seed
    recipe : of kind head
    base : metadata of the weights of the base
    base_sha256 : of their file
    job : provenance
    """
    found = {key: base[key] for key in (*REQUIRED, "code") if key in base}
    found |= {key: row[key] for key in ("model", "dataset", "classes", "base", "recipe", "threat", "eps", "seed")}
    found |= {"kind": HEAD, "task": "classification", "base_sha256": base_sha256}
    found |= {key: recipe[key] for key in ("method", "neighbours", "temperature")}
    return found | {"recipe_sha256": fingerprint(recipe), "provenance": job.provenance}
