"""Represent stage: logits, predictions and penultimate features of a model on an image set."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mettle import models, tables
from mettle.data.loading import batches, split
from mettle.data.sample import shared
from mettle.data.store import Store
from mettle.digests import fingerprint, sha256_of
from mettle.flow import Job
from mettle.seeds import derive


class Inverted(NamedTuple):
    """A model's name, its weights, the store of images inverted through it, and what it makes of them itself."""

    name: str
    weights: str
    images: str
    seen: str


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
    model, source, policy = models.opened(weights, Store(images), job, precision, whole=whole, scored=False)
    positions = shared(len(source), sample, job.seed, keys["dataset"])
    if keys["images"] == "train":  # stores are sorted by class, but who trains on a part of the rows needs all classes
        positions = np.random.default_rng(derive(job.seed, "train", keys["dataset"])).permutation(positions)
    chosen = split(positions, batch)
    job.say(f"{keys['model']} on {keys['images']} images: {policy.sentence(len(positions), batch)}")
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
    own: Inverted,
    above: Sequence[Inverted],
    dataset: str,
    precision: str,
    batch: int,
    resume: str | Path,
    job: Job,
) -> None:
    """Write what a model and each one above it make of each other's inverted images, and beside it, of their own.

    The files are `inverted-{a}/{b}.parquet`: images inverted through model a, seen by model b. Those that a model makes
    of its own are links, or copies where a file system has none.

    Parameters
    ----------
    folder : to write; nothing is there before all of it is
    own, above : files of the models
    dataset : of the images
    precision, batch : number format and images per pass
    resume : folder for finished files, gone at the end; a killed job goes on from them
    job : threads, log, provenance

    Raises
    ------
    ValueError
        If a feature or logit is not finite.
    """
    kept = Path(resume) / _made_from([own, *above], precision, batch, job)[:32]
    passes = [pair for other in above for pair in ((own, other), (other, own))]
    left = {path: pair for pair in passes if not (path := _file(kept, *pair)).exists()}
    if len(left) < len(passes):
        job.say(f"goes on with {len(passes) - len(left)} of {len(passes)} files done")
    for path, (through, model) in job.progress(left.items(), "cross", len(left)):
        keys = {"dataset": dataset, "images": f"inverted-{through.name}", "model": model.name}
        parts = extract(model.weights, through.images, keys, None, precision, batch, job)
        tables.stream(path, tables.REPRESENT, parts, job.provenance)
    for model in (own, *above):
        _link(Path(model.seen), _file(kept, model, model))
    _settle(kept, Path(folder))
    shutil.rmtree(resume)


def _made_from(models_: Sequence[Inverted], precision: str, batch: int, job: Job) -> str:
    """Fingerprint of everything that decides the answers."""
    found = [(model.images, sha256_of(model.weights), Store(model.images).digest) for model in models_]
    device = models.policy(job.threads, precision, job.needs_cuda).device.type
    return fingerprint([found, precision, batch, torch.__version__, device, job.provenance["revision"]])


def _file(folder: Path, through: Inverted, model: Inverted) -> Path:
    return folder / f"inverted-{through.name}" / f"{model.name}.parquet"


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy(source, target)


def _settle(kept: Path, folder: Path) -> None:
    """Move a folder to where it appears at once, also if that is on another disk."""
    for rest in kept.rglob(".*.tmp"):  # of a job that was killed while it wrote
        rest.unlink()
    tmp = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(tmp, ignore_errors=True)
    tmp.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(kept, tmp)
    tmp.rename(folder)
