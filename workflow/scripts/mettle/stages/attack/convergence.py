"""Attack convergence: the loss of individual images over the steps of PGD, for several random starts.

Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399), section 6: a loss that rises to the same value from every start
is evidence against gradient masking.
"""

from typing import Any

import numpy as np
import torch

from mettle import models, tables
from mettle.evaluation import Evaluation, Opened
from mettle.perturb import Draws, pgd_trace, step_size
from mettle.seeds import derive
from mettle.stages.attack import flags

Row = dict[str, Any]


def convergence(evaluation: Evaluation, keys: Row, options: Row) -> list[Row]:
    """Rows of the convergence table.

    Parameters
    ----------
    evaluation : the model and the held-out images
    keys : dataset, split, model
    options : the block `attack.convergence`: norm, eps, steps, step_size, seeds, images

    Raises
    ------
    ValueError
        If the model classifies fewer images correctly than `options` asks for.
    """
    opened, job = evaluation.open(), evaluation.job
    known = _known(opened, options["images"])
    if len(known) < options["images"]:
        raise ValueError(
            f"{keys['model']} classifies {len(known)} images of '{keys['dataset']}' correctly, but "
            f"attack.convergence.images asks for {options['images']}"
        )
    keys = keys | {key: options[key] for key in ("norm", "eps")}
    size = step_size(options, "config:attack.convergence.step_size")
    ball = {"norm": options["norm"], "eps": options["eps"], "steps": max(options["steps"]), "step_size": size}
    opened.say(len(known))
    note = _doubts(opened, known)
    rows = []
    for seed in job.progress(range(options["seeds"]), "seeds"):
        for clean, targets, ids in opened.batches(opened.split(known)):
            run = {"draws": Draws(derive(job.seed, "convergence", seed), ids, clean.device), "policy": opened.policy}
            goal = opened.task.goal(targets)
            losses = pgd_trace(opened.model, clean, goal, watch=job, **run, **ball)[:, options["steps"]]
            for image, values in zip(ids, losses.tolist(), strict=True):
                for steps, value in zip(options["steps"], values, strict=True):
                    cell = keys | {"measure": "loss", "id": image, "steps": steps, "seed": seed}
                    rows.append(cell | {"n": 1, "value": value, "lo": None, "hi": None, "note": note})
    return rows


def _doubts(opened: Opened, positions: np.ndarray) -> str | None:
    """The flags raised for these images, with the share of images for each; None if there are none."""
    found: dict[str, list[bool]] = {key: [] for key in tables.FLAGS}
    for batch in opened.batches(opened.split(positions)):
        _, flagged = flags.look(opened, batch)
        for key, values in found.items():
            values += flagged[key].tolist()
    return flags.doubts({key: float(np.mean(values)) for key, values in found.items()})


@torch.no_grad()
def _known(opened: Opened, n: int) -> np.ndarray:
    """Positions of n correctly classified images, or of all if there are fewer, in an order drawn from the seed."""
    seed = derive(opened.job.seed, "points", opened.evaluation.dataset)
    chosen = opened.split(np.random.default_rng(seed).permutation(len(opened.source)))
    found: list[np.ndarray] = []
    left = opened.batches(chosen, "looking for correctly classified images")
    for part, (images, targets, _) in zip(chosen, left, strict=True):
        with models.frozen(opened.model):
            outputs = opened.model(images)
        wrong = opened.task.goal(targets).success(outputs, torch.arange(len(images), device=images.device))
        found.append(part[~wrong.cpu().numpy()])
        if sum(map(len, found)) >= n:
            break
    return np.concatenate(found)[:n]
