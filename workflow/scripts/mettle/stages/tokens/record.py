"""Metadata of files of robustness tokens."""

from typing import Any

from mettle.digests import fingerprint
from mettle.flow import Job
from mettle.models.weights import REQUIRED, TOKENS
from mettle.typed import ModelRow, TokensRecipe

# Of the base, where it has them.
_OF_BASE = (*REQUIRED, "task", "dataset", "class_names", "code")


def described(
    row: ModelRow, recipe: TokensRecipe, base: dict[str, Any], base_sha256: str, width: int, job: Job
) -> dict[str, Any]:
    """Metadata of tokens.

    Parameters
    ----------
    row : model, base, recipe, threat, eps, seed
    recipe : recipe of kind tokens
    base : metadata of the weights of the base
    base_sha256 : of their file
    width : of the tokens
    job : provenance
    """
    found = {key: base[key] for key in _OF_BASE if key in base}
    found |= {key: row[key] for key in ("model", "base", "recipe", "threat", "eps", "seed")}
    found |= {"kind": TOKENS, "n": recipe["n"], "position": recipe["position"], "width": width}
    found |= {"similarity": recipe["attack"]["similarity"], "base_sha256": base_sha256}
    return found | {"recipe_sha256": fingerprint(recipe), "provenance": job.provenance}
