"""Attack effectiveness: how close few steps of PGD come to many, over the epochs of a training.

Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399), section 6: with heavy augmentation the one-step attack of training
stops finding what many steps find.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from mettle import models, tables
from mettle.attack import flags
from mettle.data.loading import batches, split
from mettle.data.parts import Parts
from mettle.data.sample import shared
from mettle.data.store import Store
from mettle.flow import Job, derive, sha256_of
from mettle.perturb import Draws, pgd_last, step_size
from mettle.stats import share

Row = dict[str, Any]


def effectiveness(
    checkpoints: str | Path,
    images: str | Path,
    keys: Row,
    options: Row,
    precision: str,
    batch: int,
    resume: str | Path,
    job: Job,
) -> list[Row]:
    """Rows of the effectiveness table.

    Parameters
    ----------
    checkpoints : folder with the weights that a training kept, `epoch-009.safetensors` and so on
    images : store of held-out images
    keys : dataset, split, model
    options : the block `attack.effectiveness`: norm, eps, steps, seeds, images
    precision, batch : number format and images per pass
    resume : folder for the sums of finished checkpoints; a killed job goes on from them with the same result
    job : seed, threads, log

    Raises
    ------
    ValueError
        If the folder holds no weights.
    """
    files = sorted(Path(checkpoints).glob("epoch-*.safetensors"))
    if not files:
        raise ValueError(f"{checkpoints} holds no checkpoints: set `checkpoints` of the recipe of '{keys['model']}'")
    store = Store(images)
    made_from = [[sha256_of(file) for file in files], store.digest, keys["dataset"], options, job.seed, batch]
    made_from += [precision, torch.__version__, job.provenance["revision"]]
    parts = Parts(resume, made_from, len(files))
    for number in job.progress(parts.left, "checkpoints", len(parts.left)):
        found = _sums(files[number], store, keys["dataset"], options, precision, batch, job)
        parts.save(number, found)
        job.say(f"{files[number].stem}: {_spoken(found)}")
    sums = pd.DataFrame(parts.collect())
    sums["epoch"] = np.repeat([int(file.stem.removeprefix("epoch-")) for file in files], len(sums) // len(files))
    return [row for cell in sums.to_dict("records") for row in _rows(keys, options, cell)]


def _spoken(sums: dict[str, np.ndarray]) -> str:
    """Accuracy by number of steps, mean over seeds, for the log."""
    shares = pd.Series(sums["correct"] / sums["n"]).groupby(sums["steps"]).mean()
    return ", ".join(f"PGD-{steps} {share:.4f}" if steps else f"clean {share:.4f}" for steps, share in shares.items())


def _rows(keys: Row, options: Row, cell: Row) -> list[Row]:
    """Accuracy and mean loss of one epoch, number of steps and seed, with the doubts about its weights."""
    n = cell["n"]
    where = keys | {key: options[key] for key in ("norm", "eps")}
    where |= {key: cell[key] for key in ("epoch", "steps", "seed", "n")}
    note = {"note": flags.doubts({key: cell[key] / n for key in tables.FLAGS})}
    loss = {"measure": "loss", "value": cell["loss"] / n, "lo": None, "hi": None}
    return [where | {"measure": "accuracy"} | share(cell["correct"], n) | note, where | loss | note]


def _sums(
    weights: Path, store: Store, dataset: str, options: Row, precision: str, batch: int, job: Job
) -> dict[str, np.ndarray]:
    """Sums over images for every number of steps and seed: right answers, losses, images, flags; (0, 0) is clean."""
    model, source, policy = models.opened(weights, store, job, precision)
    chosen = split(shared(len(source), options["images"], job.seed, dataset), batch)
    sums: dict[tuple[int, int], np.ndarray] = {}
    job.say(policy.sentence(sum(map(len, chosen)), batch))
    left = batches(source, chosen, job.threads - 1)
    for clean, labels, ids in job.progress(left, weights.stem, len(chosen)):
        clean, labels = policy.move(clean), labels.to(policy.device)
        _, flagged = flags.look(model, clean, labels, ids.tolist())
        doubtful = [float(flagged[key].sum()) for key in tables.FLAGS]
        for cell, image in _attacked(model, clean, labels, ids, options, policy, job):
            with models.frozen(model), torch.no_grad():
                logits = model(image).double()
            correct, loss = (logits.argmax(1) == labels).sum(), F.cross_entropy(logits, labels, reduction="sum")
            sums[cell] = sums.get(cell, 0) + np.array([float(correct), float(loss), len(labels), *doubtful])
    steps, seeds = np.array(list(sums)).T
    correct, loss, n, *doubtful = np.array(list(sums.values())).T
    counts = {"correct": correct, "n": n} | dict(zip(tables.FLAGS, doubtful, strict=True))
    return {"steps": steps, "seed": seeds, "loss": loss} | {key: values.astype(int) for key, values in counts.items()}


def _attacked(
    model: Any, clean: torch.Tensor, labels: torch.Tensor, ids: torch.Tensor, options: Row, policy: Any, job: Job
) -> Iterator[tuple[tuple[int, int], torch.Tensor]]:
    yield (0, 0), clean
    ball = {key: options[key] for key in ("norm", "eps")}
    for number in range(options["seeds"]):
        draws = Draws(derive(job.seed, "effectiveness", number), ids, clean.device)
        for steps in options["steps"]:
            ball |= {"steps": steps, "step_size": step_size(options, "config:attack.effectiveness.steps", steps)}
            yield (steps, number), pgd_last(model, clean, labels, draws=draws, policy=policy, watch=job, **ball)
