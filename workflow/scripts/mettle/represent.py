"""Represent stage: logits, predictions and penultimate features of a model on an image set."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mettle import models
from mettle.data.loading import batches, split
from mettle.data.sample import shared
from mettle.data.store import Store
from mettle.flow import Job, derive


def extract(
    weights: str | Path,
    images: str | Path,
    keys: dict[str, Any],
    sample: int | None,
    precision: str,
    batch: int,
    job: Job,
) -> Iterator[dict[str, Any]]:
    """Columns of the represent table, a batch of images at a time; training images in random order.

    Parameters
    ----------
    weights : the model
    images : store of the image set; inverted images are taken as they are
    keys : dataset, images, model
    sample : number of images, drawn from (seed, data set) and thus shared by all models; None, or more than there are,
        for all
    precision, batch : number format and images per pass
    job : seed, threads, log

    Raises
    ------
    ValueError
        If a feature or logit is not finite.
    """
    whole = keys["images"].startswith("inverted-")
    model, source, policy = models.opened(weights, Store(images), job.threads, precision, whole=whole)
    positions = shared(len(source), sample, job.seed, keys["dataset"])
    if keys["images"] == "train":  # stores are sorted by class, but who trains on a part of the rows needs all classes
        positions = np.random.default_rng(derive(job.seed, "train", keys["dataset"])).permutation(positions)
    chosen = split(positions, batch)
    for clean, labels, ids in job.progress(batches(source, chosen, job.threads - 1), "represent", len(chosen)):
        with torch.inference_mode(), policy.autocast():
            logits, features = (tensor.float().cpu().numpy() for tensor in model.both(policy.move(clean)))
        if not (np.isfinite(features).all() and np.isfinite(logits).all()):
            raise ValueError(f"{weights}: logits or features are not finite on some images of {images}")
        columns = {"id": ids.numpy(), "label": labels.numpy(), "prediction": logits.argmax(1)}
        columns |= {"logits": logits, "features": features}
        yield {key: [value] * len(ids) for key, value in keys.items()} | columns
