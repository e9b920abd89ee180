"""Attack convergence: the loss of single images by steps and random start of PGD.

Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399), section 6: a loss that rises to the same value from every start
is evidence against masked gradients.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from mettle import models, tables
from mettle.data.loading import ImageSet, batches, split
from mettle.data.store import Store
from mettle.flow import Job
from mettle.perturb import Draws, pgd_trace, step_size
from mettle.seeds import derive
from mettle.stages.attack import flags

Row = dict[str, Any]


def convergence(
    weights: str | Path, images: str | Path, keys: Row, options: Row, precision: str, batch: int, job: Job
) -> list[Row]:
    """Rows of the convergence table.

    Parameters
    ----------
    weights : the model
    images : store of held-out images
    keys : dataset, split, model
    options : the block `attack.convergence`: norm, eps, steps, step_size, seeds, images
    precision, batch : number format and images per pass
    job : seed, threads, log

    Raises
    ------
    ValueError
        If the model classifies fewer images correctly than are asked for.
    """
    model, source, policy = models.opened(weights, Store(images), job, precision)
    known = _known(model, source, options["images"], batch, policy, derive(job.seed, "points", keys["dataset"]), job)
    if len(known) < options["images"]:
        raise ValueError(
            f"{keys['model']} classifies {len(known)} images of '{keys['dataset']}' correctly, "
            f"attack.convergence.images asks for {options['images']}"
        )
    keys = keys | {key: options[key] for key in ("norm", "eps")}
    size = step_size(options, "config:attack.convergence.step_size")
    ball = {"norm": options["norm"], "eps": options["eps"], "steps": max(options["steps"]), "step_size": size}
    job.say(policy.sentence(len(known), batch))
    note = _doubts(model, source, split(known, batch), policy)
    rows = []
    for seed in job.progress(range(options["seeds"]), "seeds"):
        for clean, labels, ids in batches(source, split(known, batch), 0):
            draws = Draws(derive(job.seed, "convergence", seed), ids, policy.device)
            where = (policy.move(clean), labels.to(policy.device))
            losses = pgd_trace(model, *where, draws=draws, policy=policy, watch=job, **ball)[:, options["steps"]]
            for image, values in zip(ids.tolist(), losses.tolist(), strict=True):
                for steps, value in zip(options["steps"], values, strict=True):
                    cell = keys | {"measure": "loss", "id": image, "steps": steps, "seed": seed}
                    rows.append(cell | {"n": 1, "value": value, "lo": None, "hi": None, "note": note})
    return rows


def _doubts(model: torch.nn.Module, source: ImageSet, chosen: list[np.ndarray], policy: models.Policy) -> str | None:
    """What casts doubt on attacks of these images, with the shares that it holds for."""
    found: dict[str, list[bool]] = {key: [] for key in tables.FLAGS}
    for clean, labels, ids in batches(source, chosen, 0):
        _, flagged = flags.look(model, policy.move(clean), labels.to(policy.device), ids.tolist())
        for key, values in found.items():
            values += flagged[key].tolist()
    return flags.doubts({key: float(np.mean(values)) for key, values in found.items()})


@torch.no_grad()
def _known(
    model: torch.nn.Module, source: ImageSet, n: int, batch: int, policy: models.Policy, seed: int, job: Job
) -> np.ndarray:
    """Positions of n images that the model classifies correctly, in an order drawn from the seed; fewer if it can't."""
    order = np.random.default_rng(seed).permutation(len(source))
    found: list[np.ndarray] = []
    chosen = split(order, batch)
    left = job.progress(batches(source, chosen, job.threads - 1), "looking for images that it classifies", len(chosen))
    for part, (images, labels, _) in zip(chosen, left, strict=True):
        with models.frozen(model):
            correct = (model(policy.move(images)).argmax(1).cpu() == labels).numpy()
        found.append(part[correct])
        if sum(map(len, found)) >= n:
            break
    return np.concatenate(found)[:n]
