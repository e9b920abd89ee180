"""Represent stage: logits, predictions and penultimate features of a model on an image set."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mettle import tables
from mettle.digests import fingerprint
from mettle.evaluation import Evaluation
from mettle.seeds import derive


class Inverted(NamedTuple):
    """A model's name, its weights, the store of images inverted through it, and its own representation of them."""

    name: str
    weights: str
    images: str
    seen: str


def extract(evaluation: Evaluation, keys: dict[str, Any], sample: int | None = None) -> Iterator[dict[str, Any]]:
    """Columns of the represent table, a batch of images at a time; training images in random order.

    Parameters
    ----------
    evaluation : the model and the image set; inverted images are taken as they are
    keys : dataset, images, model
    sample : number of images, drawn from (seed, data set) and thus shared by all models; None, or more than there are,
        for all

    Raises
    ------
    ValueError
        If a feature or logit is not finite.
    """
    opened, seed = evaluation.open(uncropped=keys["images"].startswith("inverted-"), scored=False), evaluation.job.seed
    positions = opened.sample(sample)
    if keys["images"] == "train":  # stores are sorted by class, but training on a part of the rows needs all classes
        positions = np.random.default_rng(derive(seed, "train", keys["dataset"])).permutation(positions)
    opened.say(len(positions), f"{keys['model']} on {keys['images']} images: ")
    for clean, labels, ids in opened.batches(opened.split(positions), "represent"):
        with torch.inference_mode(), opened.policy.autocast():
            logits, features = (tensor.float().cpu().numpy() for tensor in opened.model.both(clean))
        if not (np.isfinite(features).all() and np.isfinite(logits).all()):
            raise ValueError(
                f"{evaluation.weights}: logits or features are not finite on some images of {evaluation.store}"
            )
        columns = {"id": ids, "label": labels.cpu().numpy(), "prediction": logits.argmax(1)}
        columns |= {"logits": logits, "features": features}
        yield {key: [value] * len(ids) for key, value in keys.items()} | columns


def cross(
    folder: str | Path, evaluation: Evaluation, own: Inverted, above: Sequence[Inverted], resume: str | Path
) -> None:
    """Write the representations that a model and each earlier one have of each other's inverted images and their own.

    The files are `inverted-{a}/{b}.parquet`: images inverted through model a, seen by model b. Those of its own
    images are links, or copies if the file system has none.

    Parameters
    ----------
    folder : to write; it appears once it is complete
    evaluation : how they are evaluated
    own, above : files of the models
    resume : folder for finished files, removed at the end; a killed job resumes from them

    Raises
    ------
    ValueError
        If a feature or logit is not finite.
    """
    job = evaluation.job
    kept = Path(resume) / _made_from(evaluation, [own, *above])[:32]
    passes = [pair for other in above for pair in ((own, other), (other, own))]
    left = {path: pair for pair in passes if not (path := _file(kept, *pair)).exists()}
    if len(left) < len(passes):
        job.say(f"resuming with {len(passes) - len(left)} of {len(passes)} files done")
    for path, (through, model) in job.progress(left.items(), "cross", len(left)):
        keys = {"dataset": evaluation.dataset, "images": f"inverted-{through.name}", "model": model.name}
        parts = extract(evaluation.on(model.weights, through.images), keys)
        tables.stream(path, tables.REPRESENT, parts, job.provenance)
    for model in (own, *above):
        _link(Path(model.seen), _file(kept, model, model))
    _settle(kept, Path(folder))
    shutil.rmtree(resume)


def _made_from(evaluation: Evaluation, files: Sequence[Inverted]) -> str:
    """Fingerprint of everything that the representations depend on."""
    return fingerprint([[model.name, *evaluation.on(model.weights, model.images).made_from] for model in files])


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
    """Move a folder atomically, also to another disk."""
    for rest in kept.rglob(".*.tmp"):  # from a job that was killed while writing
        rest.unlink()
    tmp = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(tmp, ignore_errors=True)
    tmp.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(kept, tmp)
    tmp.rename(folder)
