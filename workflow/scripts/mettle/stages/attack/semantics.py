"""What perturbations look like: images of what an attack added, and how other models classify them.

Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399), section 7: perturbations of robust models look like their
class, those of standard models like noise.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mettle import tables
from mettle.evaluation import Evaluation
from mettle.stages.attack import flags
from mettle.stages.attack.evaluate import attacked

Row = dict[str, Any]
Attacked = tuple[Tensor, Tensor, Tensor, dict[str, list[bool]]]


def perturbations(evaluation: Evaluation, options: Row, sample: int) -> Iterator[Attacked]:
    """Batches of (ids (n,), clean (n, 3, h, w), attacked (n, 3, h, w), flags), on the CPU, of a sample of images.

    The flags are those of `tables.FLAGS`, each with one boolean per image.

    Parameters
    ----------
    evaluation : the model that is attacked, and the held-out images
    options : options of the attack with defaults filled in
    sample : number of images, the same for all models; all if there are no more
    """
    opened = evaluation.open()
    positions = opened.sample(sample)
    opened.say(len(positions))
    for batch in opened.batches(opened.split(positions), "attack"):
        _, flagged = flags.look(opened, batch)
        found, _ = attacked(opened, batch, options, opened.job)
        ids, clean = torch.tensor(batch.ids), batch.images.cpu()
        yield ids, clean, found.cpu(), {key: values.tolist() for key, values in flagged.items()}


def classify(weights: Mapping[str, str | Path], evaluation: Evaluation, keys: Row) -> dict[str, Any]:
    """Columns of the semantics table: predictions of several models for the images of one store, and the images' flags.

    Parameters
    ----------
    weights : the classifying models' weights, by name
    evaluation : the perturbations, and how they are classified
    keys : dataset, model, attack, norm, eps
    """
    manifest = Path(evaluation.store).with_suffix(".parquet")
    flagged = tables.read(manifest, tables.PERTURBED)[[*tables.FLAGS]]
    columns: dict[str, list] = {"model_b": [], "id": [], "label": [], "prediction": []}
    columns |= {key: flagged[key].tolist() * len(weights) for key in tables.FLAGS}
    for name, path in evaluation.job.progress(list(weights.items()), "models"):
        opened = evaluation.on(path, evaluation.store).open()
        positions = opened.sample(None)
        opened.say(len(positions), f"{name}: ")
        for images, labels, ids in opened.batches(opened.split(positions)):
            with torch.inference_mode(), opened.policy.autocast():
                prediction = opened.model(images).argmax(1)
            columns["model_b"] += [name] * len(ids)
            columns["id"] += ids
            columns["label"] += labels.tolist()
            columns["prediction"] += prediction.tolist()
    return {key: [value] * len(columns["id"]) for key, value in keys.items()} | columns
