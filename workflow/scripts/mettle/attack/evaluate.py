"""Every held-out image of a data set, clean and attacked, one row each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle import models
from mettle.data.loading import ImageSet, batches, split
from mettle.data.store import Store
from mettle.flow import Job, derive
from mettle.models import Policy
from mettle.perturb import ATTACKS, norm, per_image


def evaluate(
    weights: str | Path,
    images: str | Path,
    keys: dict[str, Any],
    options: dict[str, Any],
    precision: str,
    batch: int,
    job: Job,
) -> dict[str, Any]:
    """Columns of the attack table.

    Parameters
    ----------
    weights : the model
    images : store of held-out images
    keys : dataset, split, model, attack
    options : options of the attack with defaults filled in
    precision, batch : number format and images per pass
    job : seed, threads, log

    Returns
    -------
    dict
        One entry per image in the order of the store: N evaluated is the N in the store.
    """
    model, about = models.load(weights)
    policy = models.policy(job.threads, precision)
    model = policy.place(model)
    source = ImageSet(Store(images), about["size"], about["resize"])
    chosen = split(np.arange(len(source)), batch)
    parts = []
    for clean, labels, ids in job.progress(batches(source, chosen, job.threads - 1), "attack", len(chosen)):
        parts.append(
            attack_batch(model, policy.move(clean), labels.to(policy.device), ids.tolist(), options, job.seed, policy)
        )
    columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    n = len(columns["id"])
    constant = keys | {"norm": options["norm"], "eps": float(options["eps"]), "note": None}
    return {key: [value] * n for key, value in constant.items()} | columns


def attack_batch(
    model: nn.Module,
    clean: Tensor,
    labels: Tensor,
    ids: Sequence[int],
    options: dict[str, Any],
    seed: int,
    policy: Policy,
) -> dict[str, np.ndarray]:
    """Attack one batch; what comes out is checked against ball and pixel range, and judged in fp32."""
    name, eps = options["norm"], options["eps"]
    chosen = {
        key: value
        for key, value in options.items()
        if key in ("norm", "eps", "steps", "step_size", "restarts", "early_stop")
    }
    start = per_image(name, clean, ids, seed) if options["random_start"] else None
    clean_logits = judge(model, clean)
    targets = choose_targets(options["target"], clean_logits, labels, ids, seed)
    attacked, queries = ATTACKS[options["method"]].run(
        model, clean, labels, start=start, targets=targets, policy=policy, **chosen
    )
    distance = norm(name).distance(attacked.double() - clean.double())
    if (distance > eps).any() or (attacked < 0).any() or (attacked > 1).any():
        raise RuntimeError(
            f"{options['method']} left the {name} ball of radius {eps} or the pixel range: this is a bug"
        )
    logits = judge(model, attacked)
    columns = {
        "id": np.asarray(ids),
        "label": labels,
        "clean_prediction": clean_logits.argmax(1),
        "prediction": logits.argmax(1),
        "clean_loss": F.cross_entropy(clean_logits.double(), labels, reduction="none"),
        "loss": F.cross_entropy(logits.double(), labels, reduction="none"),
        "margin": margin(logits, labels),
        "distance": distance,
        "queries": queries,
    }
    return {key: value.cpu().numpy() if isinstance(value, Tensor) else value for key, value in columns.items()}


def choose_targets(target: str, logits: Tensor, labels: Tensor, ids: Sequence[int], seed: int) -> Tensor | None:
    """Target classes of a targeted attack, never the true class; None for an untargeted one."""
    if target == "none":
        return None
    if target == "least_likely":
        return logits.scatter(1, labels[:, None], torch.inf).argmin(1)
    classes = logits.shape[1]
    shift = [1 + derive(seed, "target", int(image)) % (classes - 1) for image in ids]
    return (labels + torch.tensor(shift, device=labels.device)) % classes


@torch.no_grad()
def judge(model: nn.Module, images: Tensor) -> Tensor:
    """Logits in fp32 and evaluation mode."""
    with models.frozen(model):
        return model(images)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """True logit less the largest other, in float64; negative where the model errs."""
    logits = logits.double()
    true = logits.gather(1, labels[:, None])[:, 0]
    return true - logits.scatter(1, labels[:, None], -torch.inf).amax(1)
