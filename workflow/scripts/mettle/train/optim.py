"""Optimiser and schedule of a recipe, made by timm's factories."""

from typing import Any

from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.optim import Optimizer


def make(model: nn.Module, recipe: dict[str, Any], updates_per_epoch: int) -> tuple[Optimizer, Scheduler]:
    """Optimiser and per-update schedule.

    Parameters
    ----------
    model : the network
    recipe : with the blocks `optimizer` and `schedule`
    updates_per_epoch : optimiser steps in an epoch

    Notes
    -----
    timm's `sgd` has Nesterov momentum, its `momentum` is plain SGD with momentum.
    """
    options = recipe["optimizer"]
    plain_sgd = options["name"] == "sgd" and not options["nesterov"]
    own = {"momentum": options["momentum"]} if options["name"] == "sgd" else {"betas": (options["momentum"], 0.999)}
    optimizer = create_optimizer_v2(
        model,
        opt="momentum" if plain_sgd else options["name"],
        lr=options["lr"],
        weight_decay=options["weight_decay"],
        filter_bias_and_bn=not options["decay_all"],
        **own,
    )
    schedule = recipe["schedule"]
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched=schedule["name"],
        num_epochs=recipe["epochs"],
        decay_epochs=schedule["every"],
        decay_rate=schedule["factor"],
        min_lr=schedule["min_lr"],
        warmup_epochs=schedule["warmup_epochs"],
        warmup_lr=schedule["warmup_lr"],
        step_on_epochs=False,
        updates_per_epoch=updates_per_epoch,
    )
    return optimizer, scheduler
