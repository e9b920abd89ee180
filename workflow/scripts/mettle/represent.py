"""Represent stage: logits, predictions and penultimate features of a model on an image set."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from mettle import models
from mettle.data.loading import batches, split
from mettle.data.sample import shared
from mettle.data.store import Store
from mettle.flow import Job


def extract(
    weights: str | Path, images: str | Path, keys: dict[str, Any], sample: int, precision: str, batch: int, job: Job
) -> dict[str, Any]:
    """Columns of the represent table.

    Parameters
    ----------
    weights : the model
    images : store of held-out images
    keys : dataset, images, model
    sample : number of images, drawn from (seed, data set) and thus shared by all models; all if there are no more
    precision, batch : number format and images per pass
    job : seed, threads, log

    Raises
    ------
    ValueError
        If a feature is not finite.
    """
    model, source, policy = models.opened(weights, Store(images), job.threads, precision)
    positions = shared(len(source), sample, job.seed, keys["dataset"])
    chosen = split(positions, batch)
    parts: dict[str, list[np.ndarray]] = {"id": [], "label": [], "logits": [], "features": []}
    for clean, labels, ids in job.progress(batches(source, chosen, job.threads - 1), "represent", len(chosen)):
        with torch.inference_mode(), policy.autocast():
            logits, features = (tensor.float().cpu().numpy() for tensor in model.both(policy.move(clean)))
        for key, value in zip(parts, (ids.numpy(), labels.numpy(), logits, features), strict=True):
            parts[key].append(value)
    columns = {key: np.concatenate(values) for key, values in parts.items()}
    if not (np.isfinite(columns["features"]).all() and np.isfinite(columns["logits"]).all()):
        raise ValueError(f"{weights}: logits or features are not finite on some images")
    columns["prediction"] = columns["logits"].argmax(1)
    return {key: [value] * len(positions) for key, value in keys.items()} | columns
