"""Attack every held-out image of a data set: one row per image, with the clean and the attacked answer."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from mettle import models
from mettle.digests import sha256_of
from mettle.evaluation import Batch, Evaluation, Opened
from mettle.flow import Job
from mettle.flow.parts import Parts
from mettle.models import loggers
from mettle.models.weights import described
from mettle.perturb import ATTACKS, Draws, named, norm, step_size
from mettle.perturb.peer import pyautoattack
from mettle.perturb.watch import NOBODY, Watch
from mettle.stages.attack import flags
from mettle.tables import Table
from mettle.tasks.known import task_of
from mettle.tasks.scores import Score, clean, frame
from mettle.units import eps_text

# Options of an attack that its function does not take.
_NOT_ITS_OWN = ("method", "images", "engine", "target", "through")


def evaluate(
    evaluation: Evaluation,
    keys: dict[str, Any],
    options: dict[str, Any],
    resume: str | Path,
    through: str | Path | None = None,
) -> dict[str, Any]:
    """Columns of the attack table of the model's task.

    Parameters
    ----------
    evaluation : the model and the held-out images
    keys : dataset, split, model, attack
    options : options of the attack with defaults filled in
    resume : folder for the answers to finished batches; a killed job resumes from them with the same result
    through : weights of another model, in a folder of its name, which the attack sees in place of this one

    Returns
    -------
    dict
        One entry per image, in the order of the store: all its images, or `options["images"]` of them.
    """
    opened, job = evaluation.open().faster(), evaluation.job
    seen = evaluation.on(through, evaluation.store).open().faster() if through else opened
    chosen = opened.split(opened.sample(options["images"]))
    made_from = [*evaluation.made_from, options, *([sha256_of(through)] if through else [])]
    parts = Parts(resume, made_from, len(chosen))
    progress = Progress(job, opened.task.score, len(chosen))
    for number in parts.done:
        progress.add(parts.load(number))
    if parts.done:
        job.say(f"resuming: {progress}")
    opened.say(sum(map(len, chosen)))
    left = opened.batches([chosen[i] for i in parts.left], "attack")
    for number, batch in zip(parts.left, left, strict=True):
        columns = attack_batch(opened, batch, options, progress, seen)
        parts.save(number, columns)
        progress.add(columns)
        job.say(str(progress))
    order = np.argsort(np.concatenate(chosen), kind="stable")
    columns = {key: values[order] for key, values in parts.collect().items()}
    n = len(order)
    notes = [f"attacked through {Path(through).parent.name}"] if through else []
    note = "; ".join([*notes, *filter(None, [flags.note(columns)])]) or None
    constant = keys | {"norm": options["norm"], "eps": float(options["eps"]), "note": note}
    return {key: [value] * n for key, value in constant.items()} | columns


def table(weights: str | Path) -> Table:
    """The attack table of the task that a model was trained for."""
    return task_of(described(weights), weights).table


def send(columns: dict[str, Any], weights: str | Path, parent: str | Path, options: dict[str, Any], job: Job) -> None:
    """Send the scores of an attack table to the model's run in each configured logger, if any.

    Parameters
    ----------
    columns : the table
    weights : file with the model's weights
    parent : folder that holds the folder of every run
    options : the block `train` of the configuration
    job : log
    """
    if not options["loggers"]:
        return
    about = described(weights)
    score, answers = task_of(about, weights).score, frame(columns)
    found = {f"clean_{score.measure}": score.value(clean(answers)), score.measure: score.value(answers)}
    where = f"{columns['dataset'][0]}/{columns['attack'][0]}"
    scalars = {f"{where}/{name}": value for name, value in found.items()}
    loggers.judge(Path(parent), about, scalars | {f"{where}/n": len(answers)}, options, job.say)


class Progress:
    """The score so far, for the log; also the `Watch` of the batch under attack.

    Parameters
    ----------
    job : log
    score : how answers are scored
    batches : number of batches
    """

    def __init__(self, job: Job, score: Score, batches: int) -> None:
        self.job, self.score, self.batches = job, score, batches
        self.answers: list[pd.DataFrame] = []

    def add(self, columns: dict[str, np.ndarray]) -> None:
        """Add the answers to a batch."""
        self.answers.append(frame(columns))

    def say(self, text: str) -> None:
        """Log a message of the attack, with the number of the batch."""
        self.job.say(f"batch {len(self.answers) + 1} of {self.batches}: {text}")

    def progress(self, items: Iterable, text: str, total: int | None = None) -> Iterable:
        """Iterate over the steps of the attack with a progress line."""
        return self.job.progress(items, text, total)

    def __str__(self) -> str:
        answers = pd.concat(self.answers)
        attacked, before = self.score.value(answers), self.score.value(clean(answers))
        return (
            f"{len(self.answers)} of {self.batches} batches: {self.score.measure} {attacked:.4f} of {len(answers)} "
            f"images, clean {before:.4f}"
        )


def attack_batch(
    opened: Opened, batch: Batch, options: dict[str, Any], watch: Watch = NOBODY, seen: Opened | None = None
) -> dict[str, np.ndarray]:
    """Columns of one batch; attacked images are checked against the ball and the pixel range, and answered in fp32.

    The attack sees the model `seen`, the model itself by default.

    Raises
    ------
    ValueError
        If images lie outside [0, 1], targets do not fit the model, or outputs or gradients are not finite.
    """
    clean_outputs, flagged = flags.look(opened, batch)
    images, queries = attacked(seen or opened, batch, options, watch)
    outputs = judge(opened.model, images)
    columns = {"id": np.asarray(batch.ids)} | opened.task.attacked(clean_outputs, outputs, batch.targets)
    columns |= {
        "distance": norm(options["norm"]).distance(images.double() - batch.images.double()),
        "queries": queries,
    }
    columns |= flagged
    return {key: value.cpu().numpy() if isinstance(value, Tensor) else value for key, value in columns.items()}


def attacked(opened: Opened, batch: Batch, options: dict[str, Any], watch: Watch = NOBODY) -> tuple[Tensor, Tensor]:
    """Attacked images of one batch, and the number of forward passes spent on each.

    Parameters
    ----------
    opened : the model, with or without a faster copy
    batch : images, targets, ids
    options : options of the attack with defaults filled in
    watch : counts the steps, and is told how many images remain after each member of AutoAttack
    """
    clean, targets, ids = batch
    method, eps = options["method"], options["eps"]
    own = {key: value for key, value in options.items() if key not in _NOT_ITS_OWN}
    if "step_size" in own:
        own["step_size"] = step_size(options, f"attacks/{method}:step_size")
    ours = options.get("engine", "mettle") == "mettle"
    run = ATTACKS[method].run if ours else partial(pyautoattack, method)
    draws = Draws(opened.job.seed, ids, clean.device)
    goal = opened.task.goal(targets)
    if (aim := options.get("target", "none")) != "none":
        goal = opened.task.aims[aim](judge(opened.model, clean), targets, draws)
    images, queries = run(opened.model, clean, goal, draws=draws, policy=opened.policy, watch=watch, **own)
    distance = norm(options["norm"]).distance(images.double() - clean.double())
    outside = ~((distance <= eps) & ((images >= 0) & (images <= 1)).flatten(1).all(1))  # NaN is outside, too
    if outside.any():
        where, ball = named(ids, outside.nonzero()[:, 0].tolist()), f"{options['norm']} ball of radius {eps_text(eps)}"
        raise RuntimeError(f"this is a bug: {method} left the {ball} or the pixel range at {where}")
    return images, queries


@torch.no_grad()
def judge(model: nn.Module, images: Tensor) -> Tensor:
    """Outputs of the exact model (not of its faster copy), in fp32 and evaluation mode."""
    with models.frozen(model):
        return models.exact(model)(images)
