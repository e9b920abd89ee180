"""Attack effectiveness: PGD with few steps against PGD with many and against Auto-PGD, over the epochs of training.

Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399), section 6: with heavy augmentation, the one-step attack used in
training stops finding what more steps find.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mettle import models, tables
from mettle.evaluation import Batch, Evaluation, Opened
from mettle.flow.parts import Parts
from mettle.perturb import Draws, Goal, apgd, pgd_last, step_size
from mettle.seeds import derive
from mettle.stages.attack import flags
from mettle.stats import proportion

Row = dict[str, Any]
Cell = tuple[str, int, int]  # attack, steps, seed


def effectiveness(evaluation: Evaluation, keys: Row, options: Row, resume: str | Path) -> list[Row]:
    """Rows of the effectiveness table.

    Parameters
    ----------
    evaluation : held-out images and, as weights, the folder of checkpoints that training kept
        (`epoch-009.safetensors`, ...); for a model without checkpoints the file of its weights, whose epoch is null
    keys : dataset, split, model
    options : the block `attack.effectiveness`: norm, eps, steps, seeds, apgd, images
    resume : folder for the sums of finished checkpoints; a killed job resumes from them with the same result

    Raises
    ------
    ValueError
        If the folder holds no checkpoints.
    """
    job = evaluation.job
    files = _files(Path(evaluation.weights), keys["model"])
    each = [evaluation.on(file, evaluation.store) for file in files]
    parts = Parts(resume, [[one.made_from for one in each], options], len(files))
    for number in job.progress(parts.left, "checkpoints", len(parts.left)):
        found = _sums(each[number], options)
        parts.save(number, found)
        job.say(f"{files[number].stem}: {_spoken(found)}")
    sums = pd.DataFrame(parts.collect())
    epochs = np.array([_epoch(file) for file in files], object)
    sums["epoch"] = np.repeat(epochs, len(sums) // len(files))
    return [row for cell in sums.to_dict("records") for row in _rows(keys, options, cell)]


def _files(weights: Path, model: str) -> list[Path]:
    """The checkpoints in order of epoch, or the one file of weights."""
    if weights.is_file():
        return [weights]
    if not (files := sorted(weights.glob("epoch-*.safetensors"))):
        raise ValueError(f"{weights} holds no checkpoints: set `checkpoints` of the recipe of '{model}'")
    return files


def _epoch(file: Path) -> int | None:
    number = file.stem.removeprefix("epoch-")
    return int(number) if number != file.stem else None


def _spoken(sums: dict[str, np.ndarray]) -> str:
    """Accuracy by attack and number of steps, mean over seeds, for the log."""
    shares = pd.Series(sums["correct"] / sums["n"]).groupby([sums["attack"], sums["steps"]], sort=False).mean()
    words = {"clean": "clean", "pgd": "PGD-{}", "apgd": "APGD-{}"}
    return ", ".join(f"{words[attack].format(steps)} {share:.4f}" for (attack, steps), share in shares.items())


def _rows(keys: Row, options: Row, cell: Row) -> list[Row]:
    """Accuracy and mean loss for one epoch, attack, number of steps and seed, with any flags as a note."""
    n = cell["n"]
    where = keys | {key: options[key] for key in ("norm", "eps")}
    where |= {key: cell[key] for key in ("attack", "epoch", "steps", "seed", "n")}
    note = {"note": flags.doubts({key: cell[key] / n for key in tables.FLAGS})}
    loss = {"measure": "loss", "value": cell["loss"] / n, "lo": None, "hi": None}
    return [where | {"measure": "accuracy"} | proportion(cell["correct"], n) | note, where | loss | note]


def _sums(evaluation: Evaluation, options: Row) -> dict[str, np.ndarray]:
    """Sums over images for every attack, number of steps and seed: correct predictions, losses, images, flags."""
    opened = evaluation.open()
    chosen = opened.split(opened.sample(options["images"]))
    sums: dict[Cell, np.ndarray] = {}
    opened.say(sum(map(len, chosen)))
    for batch in opened.batches(chosen, Path(evaluation.weights).stem):
        goal, (_, flagged) = opened.task.goal(batch.targets), flags.look(opened, batch)
        every = torch.arange(len(batch.images), device=batch.images.device)
        doubtful = [float(flagged[key].sum()) for key in tables.FLAGS]
        for cell, image in _attacked(opened, batch, goal, options):
            with models.frozen(opened.model), torch.no_grad():
                outputs = opened.model(image).double()
            correct = (~goal.success(outputs, every)).sum()
            loss = goal.objective(outputs, every).sum()
            sums[cell] = sums.get(cell, 0) + np.array([float(correct), float(loss), len(every), *doubtful])
    attacks, steps, seeds = map(np.array, zip(*sums, strict=True))
    correct, loss, n, *doubtful = np.array(list(sums.values())).T
    counts = {"correct": correct, "n": n} | dict(zip(tables.FLAGS, doubtful, strict=True))
    sums = {"attack": attacks, "steps": steps, "seed": seeds, "loss": loss}
    return sums | {key: values.astype(int) for key, values in counts.items()}


def _attacked(opened: Opened, batch: Batch, goal: Goal, options: Row) -> Iterator[tuple[Cell, torch.Tensor]]:
    """The images clean, after PGD with every number of steps from every start, and after Auto-PGD."""
    clean, ids = batch.images, batch.ids
    run = {"policy": opened.policy, "watch": opened.job}
    yield ("clean", 0, 0), clean
    ball = {key: options[key] for key in ("norm", "eps")}
    for number in range(options["seeds"]):
        draws = Draws(derive(opened.job.seed, "effectiveness", number), ids, clean.device)
        for steps in options["steps"]:
            ball |= {"steps": steps, "step_size": step_size(options, "config:attack.effectiveness.steps", steps)}
            yield ("pgd", steps, number), pgd_last(opened.model, clean, goal, draws=draws, **run, **ball)
    if own := options["apgd"]:
        # Without early stop: the largest loss for every image, whether or not the model is fooled, as for PGD.
        draws = Draws(derive(opened.job.seed, "effectiveness", 0), ids, clean.device)
        ball = {key: options[key] for key in ("norm", "eps")} | own | {"early_stop": False}
        yield ("apgd", own["steps"], 0), apgd(opened.model, clean, goal, draws=draws, **run, **ball)[0]
