"""Every held-out image of a data set, clean and attacked, one row each."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle import models
from mettle.flow import Job
from mettle.flow.parts import Parts
from mettle.models import Batch, Evaluation, Opened, loggers
from mettle.models.weights import read
from mettle.perturb import ATTACKS, Draws, named, norm, pyautoattack, step_size, targeted, untargeted
from mettle.perturb.losses import margin, random_targets
from mettle.perturb.watch import NOBODY, Watch
from mettle.stages.attack import flags
from mettle.units import eps_text

# Options of an attack that are not its function's.
_NOT_ITS_OWN = ("method", "images", "engine", "target")


def evaluate(
    evaluation: Evaluation, keys: dict[str, Any], options: dict[str, Any], resume: str | Path
) -> dict[str, Any]:
    """Columns of the attack table.

    Parameters
    ----------
    evaluation : the model and the held-out images
    keys : dataset, split, model, attack
    options : options of the attack with defaults filled in
    resume : folder for the answers to finished batches; a killed job goes on from them with the same result

    Returns
    -------
    dict
        One entry per image in the order of the store: N evaluated is the N in the store, or `options["images"]` of it.
    """
    opened, job = evaluation.open().faster(), evaluation.job
    chosen = opened.split(opened.sample(options["images"]))
    parts = Parts(resume, [*evaluation.made_from, options], len(chosen))
    standing = Standing(job, len(chosen))
    for number in parts.done:
        standing.add(parts.load(number))
    if parts.done:
        job.say(f"resuming: {standing}")
    opened.say(sum(map(len, chosen)))
    left = opened.batches([chosen[i] for i in parts.left], "attack")
    for number, batch in zip(parts.left, left, strict=True):
        columns = attack_batch(opened, batch, options, standing)
        parts.save(number, columns)
        standing.add(columns)
        job.say(str(standing))
    columns = parts.collect()
    n = len(columns["id"])
    constant = keys | {"norm": options["norm"], "eps": float(options["eps"]), "note": flags.note(columns)}
    return {key: [value] * n for key, value in constant.items()} | columns


def send(columns: dict[str, Any], weights: str | Path, parent: str | Path, options: dict[str, Any], job: Job) -> None:
    """Send accuracies of an attack table to the run of the model in the loggers, where there are some.

    Parameters
    ----------
    columns : the table
    weights : the model
    parent : folder of the folders of all runs
    options : the block `train` of the configuration
    job : log
    """
    if not options["loggers"]:
        return
    where = f"{columns['dataset'][0]}/{columns['attack'][0]}"
    label = np.asarray(columns["label"])
    found = {"clean_accuracy": "clean_prediction", "accuracy": "prediction"}
    scalars = {f"{where}/{name}": float((columns[key] == label).mean()) for name, key in found.items()}
    loggers.judge(Path(parent), read(weights)[1], scalars | {f"{where}/n": len(label)}, options, job.say)


class Standing:
    """Accuracy so far, for the log; a `Watch` of the batch that is under attack.

    Parameters
    ----------
    job : whose log it is
    batches : how many there are
    """

    def __init__(self, job: Job, batches: int) -> None:
        self.job, self.batches = job, batches
        self.done = self.images = self.clean = self.attacked = 0

    def add(self, columns: dict[str, np.ndarray]) -> None:
        """Take in the answers to a batch."""
        self.done += 1
        self.images += len(columns["label"])
        self.clean += int((columns["clean_prediction"] == columns["label"]).sum())
        self.attacked += int((columns["prediction"] == columns["label"]).sum())

    def say(self, text: str) -> None:
        """What the attack says, with the number of the batch."""
        self.job.say(f"batch {self.done + 1} of {self.batches}: {text}")

    def progress(self, items: Iterable, text: str, total: int | None = None) -> Iterable:
        """The steps of the attack, counted."""
        return self.job.progress(items, text, total)

    def __str__(self) -> str:
        clean, attacked = (hits / self.images for hits in (self.clean, self.attacked))
        return (
            f"{self.done} of {self.batches} batches: accuracy {attacked:.4f} of {self.images} images, clean {clean:.4f}"
        )


def attack_batch(opened: Opened, batch: Batch, options: dict[str, Any], watch: Watch = NOBODY) -> dict[str, np.ndarray]:
    """Answers to one batch: what comes out of the attack is checked against ball and pixel range, and judged in fp32.

    Raises
    ------
    ValueError
        If images lie outside [0, 1], labels are no classes of the model, or logits or gradients are not finite.
    """
    clean, labels, ids = batch
    clean_logits, flagged = flags.look(opened.model, *batch)
    images, queries = attacked(opened, batch, options, watch)
    logits = judge(opened.model, images)
    columns = {
        "id": np.asarray(ids),
        "label": labels,
        "clean_prediction": clean_logits.argmax(1),
        "prediction": logits.argmax(1),
        "clean_loss": F.cross_entropy(clean_logits.double(), labels, reduction="none"),
        "loss": F.cross_entropy(logits.double(), labels, reduction="none"),
        "margin": margin(logits.double(), labels),
        "distance": norm(options["norm"]).distance(images.double() - clean.double()),
        "queries": queries,
    }
    columns |= flagged
    return {key: value.cpu().numpy() if isinstance(value, Tensor) else value for key, value in columns.items()}


def attacked(opened: Opened, batch: Batch, options: dict[str, Any], watch: Watch = NOBODY) -> tuple[Tensor, Tensor]:
    """Attacked images of one batch, and the passes spent on each.

    Parameters
    ----------
    opened : the classifier, with or without a faster copy
    batch : images, true classes, ids
    options : options of the attack with defaults filled in
    watch : is told what is left after each member of AutoAttack, and counts the steps
    """
    clean, labels, ids = batch
    method, eps = options["method"], options["eps"]
    own = {key: value for key, value in options.items() if key not in _NOT_ITS_OWN}
    if "step_size" in own:
        own["step_size"] = step_size(options, f"attacks/{method}:step_size")
    ours = options.get("engine", "mettle") == "mettle"
    run = ATTACKS[method].run if ours else partial(pyautoattack, method)
    draws = Draws(opened.job.seed, ids, clean.device)
    goal = untargeted(labels)
    if options.get("target", "none") != "none":
        goal = targeted(choose_targets(options["target"], judge(opened.model, clean), labels, draws))
    images, queries = run(opened.model, clean, goal, draws=draws, policy=opened.policy, watch=watch, **own)
    distance = norm(options["norm"]).distance(images.double() - clean.double())
    outside = ~((distance <= eps) & ((images >= 0) & (images <= 1)).flatten(1).all(1))  # NaN is outside, too
    if outside.any():
        where, ball = named(ids, outside.nonzero()[:, 0].tolist()), f"{options['norm']} ball of radius {eps_text(eps)}"
        raise RuntimeError(f"this is a bug: {method} left the {ball} or the pixel range at {where}")
    return images, queries


def choose_targets(target: str, logits: Tensor, labels: Tensor, draws: Draws) -> Tensor:
    """Target classes (n,) of a targeted attack, never the true class: `random` per image, or `least_likely`."""
    if target == "least_likely":
        return logits.scatter(1, labels[:, None], torch.inf).argmin(1)
    return random_targets(labels, logits.shape[1], draws)


@torch.no_grad()
def judge(model: nn.Module, images: Tensor) -> Tensor:
    """Logits of the exact model, in fp32 and evaluation mode."""
    with models.frozen(model):
        return models.exact(model)(images)
