"""Represent stage: logits, predictions and penultimate features of a model on an image set."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mettle import models, tables
from mettle.data.loading import batches, split
from mettle.data.sample import shared
from mettle.data.store import Store
from mettle.flow import Job, derive, fingerprint, sha256_of

Source = tuple[str | Path, str | Path]  # weights of a model, store of the images inverted through it


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


def cross(
    folder: str | Path,
    own: Source,
    others: Sequence[Source],
    dataset: str,
    precision: str,
    batch: int,
    resume: str | Path,
    job: Job,
) -> None:
    """Write what a model and each other one make of images inverted through the other of the two.

    The files are `inverted-{a}/{b}.parquet`: images inverted through model a, seen by model b.

    Parameters
    ----------
    folder : to write; nothing is there before all of it is
    own, others : results/train/{model}/weights.safetensors and results/invert/{dataset}/{model}.lmdb of each model
    dataset : of the images
    precision, batch : number format and images per pass
    resume : folder for finished files, gone at the end; a killed job goes on from them
    job : threads, log, provenance

    Raises
    ------
    ValueError
        If a feature or logit is not finite.
    """
    kept = Path(resume) / _made_from([own, *others], precision, batch, job)[:32]
    kept.mkdir(parents=True, exist_ok=True)
    passes = [one for weights, images in others for one in ((weights, own[1]), (own[0], images))]
    left = {path: one for one in passes if not (path := _file(kept, *one)).exists()}
    if len(left) < len(passes):
        job.say(f"goes on with {len(passes) - len(left)} of {len(passes)} files done")
    for path, (weights, images) in job.progress(left.items(), "cross", len(left)):
        keys = {"dataset": dataset, "images": path.parent.name, "model": path.stem}
        tables.stream(
            path, tables.REPRESENT, extract(weights, images, keys, None, precision, batch, job), job.provenance
        )
    _settle(kept, Path(folder))
    shutil.rmtree(resume)


def _file(folder: Path, weights: str | Path, images: str | Path) -> Path:
    return folder / f"inverted-{Path(images).stem}" / f"{Path(weights).parent.name}.parquet"


def _made_from(sources: Sequence[Source], precision: str, batch: int, job: Job) -> str:
    """Fingerprint of everything that decides the answers."""
    found = [(str(images), sha256_of(weights), Store(images).digest) for weights, images in sources]
    device = models.policy(job.threads, precision).device.type
    return fingerprint([found, precision, batch, torch.__version__, device, job.provenance["revision"]])


def _settle(kept: Path, folder: Path) -> None:
    """Move a folder to where it appears at once, also if that is on another disk."""
    for rest in kept.rglob(".*.tmp"):  # of a job that was killed while it wrote
        rest.unlink()
    tmp = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(tmp, ignore_errors=True)
    tmp.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(kept, tmp)
    tmp.rename(folder)
