"""Published linear heads of classification, and heads of other rows, as heads of this project."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mettle import models
from mettle.data import archives
from mettle.data.checkpoints import fetched
from mettle.digests import sha256_of
from mettle.flow import Job
from mettle.models import unpickled, weights
from mettle.stages.heads.record import described
from mettle.typed import HeadRecipe, ModelRow

State = dict[str, Tensor]
_NAMES = ("weight", "bias")


def convert(
    row: ModelRow,
    recipe: HeadRecipe,
    base: str | Path,
    target: str | Path,
    job: Job,
    *,
    said: dict[str, Any] | None = None,
) -> None:
    """Write a published head, or that of another row, as a head on the network of a base.

    Parameters
    ----------
    row : row of the head with `classes`; `source` is a file already downloaded: of torch.save with `weight` and `bias`,
        or of DINOv2's evaluation with many heads, of which the recipe's is taken; or the weights of a head here
    recipe : of kind head with what the head sees, `blocks` and `average`
    base : weights of the network
    target : file to write
    job : log, provenance
    said : further metadata, with the keys `mettle.models.weights.SAID`

    Raises
    ------
    ValueError
        If the file does not have the row's SHA-256, holds no head, or one that does not fit.
    FileNotFoundError
        If the source does not exist.
    """
    model, about = models.load(base)
    file = fetched(row, job)
    own = described(row, recipe, about, sha256_of(base), job)
    own |= {"blocks": recipe["blocks"][0], "average": recipe["average"][0]}
    with archives.taken(file.path, file.member) as path:
        state, found = _read(path, recipe)
    if others := [key for key in ("method", "blocks", "average") if found.get(key, own[key]) != own[key]]:
        key = others[0]
        raise ValueError(f"{file.path}: is a head with {key} {found[key]}, but the recipe says {own[key]}: correct it")
    for key in ("mean", "std"):
        state[key] = torch.tensor(about[key], dtype=torch.float32).view(1, 3, 1, 1)
    try:
        made = weights.headed(own, model.network, state)
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from error
    weights.fill(made, weights.network_state(made) | state, file.path)
    own |= {"source": row["source"], "sha256": file.sha256} | (said or {})
    models.save(target, weights.head_state(made), own)


def _read(path: Path, recipe: HeadRecipe) -> tuple[State, dict[str, Any]]:
    """Entries of a head without normalisation, and metadata if the file has any."""
    if path.suffix == ".safetensors":
        return weights.read_head(path)
    content = unpickled.read(path)
    found = content.get("model", content) if isinstance(content, dict) else {}
    named = {key: found.get(_of_many(recipe) + key, found.get(key)) for key in _NAMES}
    if not all(isinstance(value, Tensor) for value in named.values()):
        raise ValueError(f"{path}: holds no head, `weight` and `bias`, nor one under {_of_many(recipe)}weight")
    return {f"head.{key}": value.float() for key, value in named.items()}, {}


def _of_many(recipe: HeadRecipe) -> str:
    """What precedes the name of an entry in files with many heads."""
    name = f"classifier_{recipe['blocks'][0]}_blocks_avgpool_{recipe['average'][0]}_lr_{recipe['lr'][0]:.5f}"
    return f"classifiers_dict.{name.replace('.', '_')}.linear."
