"""What perturbations look like: images of what an attack added, and how other models classify them.

Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399), section 7: the perturbations of robust models resemble their
class, those of standard models noise.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mettle import models, tables
from mettle.data.loading import batches, split
from mettle.data.sample import shared
from mettle.data.store import Store
from mettle.flow import Job
from mettle.stages.attack import flags
from mettle.stages.attack.evaluate import attacked

Row = dict[str, Any]
Attacked = tuple[Tensor, Tensor, Tensor, dict[str, list[bool]]]


def perturbations(
    weights: str | Path, images: str | Path, keys: Row, options: Row, sample: int, precision: str, batch: int, job: Job
) -> Iterator[Attacked]:
    """Batches of (ids (n,), clean (n, 3, h, w), attacked (n, 3, h, w), flags), on the CPU, of a sample of images.

    The flags are those of `tables.FLAGS`, each with a truth value per image.

    Parameters
    ----------
    weights : the model that is attacked
    images : store of held-out images
    keys : dataset, model, attack
    options : options of the attack with defaults filled in
    sample : number of images, the same for all models; all if there are no more
    precision, batch : number format and images per pass
    job : seed, threads, log
    """
    model, source, policy = models.opened(weights, Store(images), job, precision)
    positions = shared(len(source), sample, job.seed, keys["dataset"])
    chosen = split(positions, batch)
    job.say(policy.sentence(len(positions), batch))
    for clean, labels, ids in job.progress(batches(source, chosen, job.threads - 1), "attack", len(chosen)):
        moved, known = policy.move(clean), labels.to(policy.device)
        _, flagged = flags.look(model, moved, known, ids.tolist())
        found, _ = attacked(model, moved, known, ids.tolist(), options, job.seed, policy, job)
        yield ids, clean, found.cpu(), {key: values.tolist() for key, values in flagged.items()}


def classify(
    weights: Mapping[str, str | Path], images: str | Path, keys: Row, precision: str, batch: int, job: Job
) -> dict[str, Any]:
    """Columns of the semantics table: answers of several models to the images of one store, and these images' flags.

    Parameters
    ----------
    weights : the models that classify, by name
    images : store of perturbations
    keys : dataset, model, attack, norm, eps
    precision, batch : number format and images per pass
    job : threads, log
    """
    store = Store(images)
    flagged = tables.read(store.path.with_suffix(".parquet"), tables.PERTURBED)[[*tables.FLAGS]]
    columns: dict[str, list] = {"model_b": [], "id": [], "label": [], "prediction": []}
    columns |= {key: flagged[key].tolist() * len(weights) for key in tables.FLAGS}
    for name, path in job.progress(list(weights.items()), "models"):
        model, source, policy = models.opened(path, store, job, precision)
        job.say(f"{name}: {policy.sentence(len(store), batch)}")
        for clean, labels, ids in batches(source, split(np.arange(len(store)), batch), job.threads - 1):
            with torch.inference_mode(), policy.autocast():
                prediction = model(policy.move(clean)).argmax(1).cpu()
            columns["model_b"] += [name] * len(ids)
            for key, values in (("id", ids), ("label", labels), ("prediction", prediction)):
                columns[key] += values.tolist()
    return {key: [value] * len(columns["id"]) for key, value in keys.items()} | columns
