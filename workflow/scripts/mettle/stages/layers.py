"""Layers stage: the representation of images by each layer of a model."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from mettle.evaluation import Evaluation, Opened
from mettle.models import layers
from mettle.tasks.features import FEATURES

Row = dict[str, Any]


def extract(
    evaluation: Evaluation, keys: Row, sample: int | None, names: Sequence[str] | None, pool: str
) -> Iterator[Row]:
    """Columns of the table of layers, a layer at a time.

    Parameters
    ----------
    evaluation : the model and the held-out images
    keys : dataset, images, model
    sample : images, the same for every model; None, or more than there are, for all
    names : of the layers, as `layers.check` takes them; None for those that `layers.find` finds
    pool : how an output becomes a vector, see `layers.pooling`

    Raises
    ------
    ValueError
        If a layer is unknown or cannot be taken, or an output is not finite.
    """
    opened = evaluation.open(scored=False)
    if names is None:
        names = layers.find(opened.model, headless=opened.task is FEATURES)
    else:
        layers.check(opened.model, names, f"configuration: represent.layers, model '{keys['model']}'")
    positions = opened.sample(sample)
    opened.say(len(positions), f"{len(names)} layers of {keys['model']}: ")
    ids, vectors = _passes(opened, positions, names, pool)
    for name in names:
        features = np.concatenate(vectors.pop(name))
        if not np.isfinite(features).all():
            raise ValueError(f"{evaluation.weights}: layer '{name}' is not finite on some images of {evaluation.store}")
        told = {key: [value] * len(ids) for key, value in (keys | {"layer": name}).items()}
        yield told | {"id": ids, "features": list(features)}


def _passes(
    opened: Opened, positions: np.ndarray, names: Sequence[str], pool: str
) -> tuple[list[int], dict[str, list[np.ndarray]]]:
    """Ids of the images, and the vectors of each layer by batch."""
    keep = layers.pooling(opened.model.network, pool)
    seen, vectors = [], {name: [] for name in names}
    for images, _, ids in opened.batches(opened.split(positions), "layers"):
        with (
            torch.inference_mode(),
            opened.policy.autocast(),
            layers.watched(opened.model.network, names, keep) as found,
        ):
            opened.model(images)
        for name in names:
            vectors[name].append(found[name].cpu().numpy())
        seen += ids
    return seen, vectors
