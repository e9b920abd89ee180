"""Attack effectiveness: how close few steps of PGD come to many, over the epochs of a training.

Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399), section 6: with heavy augmentation the one-step attack of training
stops finding what many steps find.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from mettle import models
from mettle.attack.summary import share
from mettle.data.loading import batches, split, taken_by
from mettle.data.sample import draw
from mettle.data.store import Store
from mettle.flow import Job, derive
from mettle.perturb import Draws, pgd_last

Row = dict[str, Any]


def effectiveness(
    checkpoints: str | Path, images: str | Path, keys: Row, options: Row, precision: str, batch: int, job: Job
) -> list[Row]:
    """Rows of the effectiveness table.

    Parameters
    ----------
    checkpoints : folder with the weights that a training kept, `epoch-009.safetensors` and so on
    images : store of held-out images
    keys : dataset, split, model
    options : the block `attack.effectiveness`: norm, eps, steps, seeds, images
    precision, batch : number format and images per pass
    job : seed, threads, log

    Raises
    ------
    ValueError
        If the folder holds no weights.
    """
    files = sorted(Path(checkpoints).glob("epoch-*.safetensors"))
    if not files:
        raise ValueError(f"{checkpoints} holds no checkpoints: set `checkpoints` of the recipe of '{keys['model']}'")
    keys = keys | {key: options[key] for key in ("norm", "eps")}
    rows = []
    for file in job.progress(files, "checkpoints", len(files)):
        epoch = int(file.stem.removeprefix("epoch-"))
        for cell, (correct, loss, n) in _sums(file, images, keys["dataset"], options, precision, batch, job).items():
            where = keys | {"epoch": epoch, "steps": cell[0], "seed": cell[1], "n": n}
            rows.append(where | {"measure": "accuracy"} | share(correct, n))
            rows.append(where | {"measure": "loss", "value": loss / n, "lo": None, "hi": None, "note": None})
    return rows


def _sums(
    weights: Path, images: str | Path, dataset: str, options: Row, precision: str, batch: int, job: Job
) -> dict[tuple[int, int], tuple[int, float, int]]:
    """Correct answers, sum of losses and images for every number of steps and seed; (0, 0) is the clean image."""
    model, about = models.load(weights)
    policy = models.policy(job.threads, precision)
    model = policy.place(model)
    source = taken_by(Store(images), about)
    chosen = split(draw(len(source), options["images"], derive(job.seed, "sample", dataset)), batch)
    sums: dict[tuple[int, int], tuple[int, float, int]] = {}
    for clean, labels, ids in batches(source, chosen, job.threads - 1):
        clean, labels = policy.move(clean), labels.to(policy.device)
        attacks = _attacked(model, clean, labels, ids, options, job.seed, policy)
        for cell, image in attacks:
            with models.frozen(model), torch.no_grad():
                logits = model(image).double()
            before = sums.get(cell, (0, 0.0, 0))
            correct = int((logits.argmax(1) == labels).sum())
            loss = float(F.cross_entropy(logits, labels, reduction="sum"))
            sums[cell] = (before[0] + correct, before[1] + loss, before[2] + len(labels))
    return sums


def _attacked(
    model: Any, clean: torch.Tensor, labels: torch.Tensor, ids: torch.Tensor, options: Row, seed: int, policy: Any
) -> Iterator[tuple[tuple[int, int], torch.Tensor]]:
    yield (0, 0), clean
    ball = {key: options[key] for key in ("norm", "eps")}
    for number in range(options["seeds"]):
        draws = Draws(derive(seed, "effectiveness", number), ids, clean.device)
        for steps in options["steps"]:
            yield (steps, number), pgd_last(model, clean, labels, steps=steps, draws=draws, policy=policy, **ball)
