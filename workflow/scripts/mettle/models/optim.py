"""Optimiser and learning rates of a recipe, by timm's factories, and what they do not have."""

import math
from typing import Any

from timm.optim import create_optimizer_v2, param_groups_weight_decay
from timm.scheduler import PolyLRScheduler, create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.optim import Optimizer

from mettle.models.rates import OneCycle, Warmed
from mettle.models.transfer import without_rate
from mettle.typed import Recipe


def make(
    model: nn.Module, recipe: Recipe, updates_per_epoch: int, transfer: str = "full", total: int | None = None
) -> tuple[Optimizer, Scheduler | Warmed]:
    """Optimiser and its schedule, per epoch or per update.

    Parameters
    ----------
    model : the network
    recipe : with the blocks `optimizer` and `schedule`
    updates_per_epoch : optimiser steps in an epoch
    transfer : the row's; under `fixed_paper` the backbone has learning rate and weight decay 0
    total : updates; those of all epochs by default

    Notes
    -----
    timm's `sgd` has Nesterov momentum, its `momentum` is plain SGD with momentum.
    """
    options = recipe["optimizer"]
    plain_sgd = options["name"] == "sgd" and not options["nesterov"]
    own = {"momentum": options["momentum"]} if options["name"] == "sgd" else {"betas": (options["momentum"], 0.999)}
    optimizer = create_optimizer_v2(
        _still(groups(model, recipe), without_rate(model, transfer), recipe),
        opt="momentum" if plain_sgd else options["name"],
        lr=options["lr"] * scaling(recipe),
        weight_decay=options["weight_decay"],
        **own,
    )
    return optimizer, _schedule(optimizer, recipe, updates_per_epoch, total or recipe["epochs"] * updates_per_epoch)


def _schedule(optimizer: Optimizer, recipe: Recipe, updates_per_epoch: int, total: int) -> Scheduler | Warmed:
    schedule = recipe["schedule"]
    if schedule["name"] == "poly":
        limits = {"power": schedule["power"], "lr_min": schedule["min_lr"]}
        found = PolyLRScheduler(optimizer, total, t_in_epochs=False, **limits)
    elif schedule["name"] == "one_cycle":
        found = OneCycle(optimizer, total, schedule["rise"])
    else:
        found = _of_timm(optimizer, recipe, updates_per_epoch, math.ceil(total / updates_per_epoch))
    updates = schedule["warmup_updates"] if schedule["by"] == "update" else 0
    return Warmed(found, updates, schedule["warmup_ratio"]) if updates else found


def _of_timm(optimizer: Optimizer, recipe: Recipe, updates_per_epoch: int, epochs: int) -> Scheduler:
    schedule = recipe["schedule"]
    # timm drops the rate of `multistep` one epoch or update before the milestone.
    early = 0.5 if schedule["by"] == "epoch" else 0.5 / updates_per_epoch
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched=schedule["name"],
        num_epochs=epochs,
        decay_epochs=schedule["every"],
        decay_milestones=[epoch + early for epoch in schedule["milestones"]],
        decay_rate=schedule["factor"],
        min_lr=schedule["min_lr"],
        warmup_epochs=schedule["warmup_epochs"],
        warmup_lr=schedule["warmup_lr"],
        step_on_epochs=schedule["by"] == "epoch",
        updates_per_epoch=updates_per_epoch,
    )
    return scheduler


def scaling(recipe: Recipe) -> float:
    """Factor on the peak learning rate: none, linear in the batch size, or its square root."""
    ratio = recipe["batch_size"] / recipe["optimizer"]["base_batch"]
    return {"none": 1.0, "linear": ratio, "sqrt": ratio**0.5}[recipe["optimizer"]["scaling"]]


def sentence(recipe: Recipe, processes: int) -> str:
    """Batch size and peak learning rate in words, and how they are related."""
    options, factor = recipe["optimizer"], scaling(recipe)
    return (
        f"batch {recipe['batch_size']} (accumulate {recipe['accumulate']}, processes {processes}), peak learning rate "
        f"{options['lr'] * factor:.3g} = {options['lr']:.3g} x {factor:.3g} "
        f"(scaling {options['scaling']}, base_batch {options['base_batch']})"
    )


def groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters with weight decay, and those without: of names in `no_decay`, and unless `decay_all` also vectors,
    biases, and what the network itself excludes.
    """
    options = recipe["optimizer"]
    named = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    excluded = {name for name, _ in named if any(part in name for part in options["no_decay"])}
    if not options["decay_all"]:
        excluded |= _excluded(model)
        return param_groups_weight_decay(model, options["weight_decay"], no_weight_decay_list=excluded)
    decays = {True: 0.0, False: options["weight_decay"]}  # by whether the name is excluded
    parts = {apart: [value for name, value in named if (name in excluded) == apart] for apart in decays}
    return [{"params": parts[apart], "weight_decay": decay} for apart, decay in decays.items() if parts[apart]]


def _excluded(model: nn.Module) -> set[str]:
    """Names of the parameters that the network itself excludes from weight decay."""
    return {
        f"{name}.{key}"
        for name, module in model.named_modules()
        if name.split(".")[-1] == "network" and hasattr(module, "no_weight_decay")
        for key in module.no_weight_decay()
    }


def _still(made: list[dict[str, Any]], still: set[int], recipe: Recipe) -> list[dict[str, Any]]:
    """Groups of parameters, with those of these identities in last groups of their own, which do not move.

    Under `poly` their rate is 0 at first, but rises to its floor with the others', as it did in the study of transfer.
    """
    rate = {"lr": 0.0} if recipe["schedule"]["name"] == "poly" else {"lr_scale": 0.0}
    parts = [
        group
        | {"params": [value for value in group["params"] if (id(value) in still) == stays]}
        | ({"weight_decay": 0.0} | rate if stays else {})
        for stays in (False, True)
        for group in made
    ]
    return [part for part in parts if part["params"]]


def clip(model: nn.Module, recipe: Recipe) -> None:
    """Clip the gradients as in the recipe.

    `agc` leaves out the last layer, as Brock et al. 2021 (arXiv:2102.06171), section 4.1, found best.
    """
    if recipe["clip_norm"] is None:
        return
    from timm.utils import dispatch_clip_grad

    parameters = list(model.parameters())
    if recipe["clip_mode"] == "agc":
        last = {id(parameter) for head in model.heads for parameter in head.parameters()}
        parameters = [parameter for parameter in parameters if id(parameter) not in last]
    dispatch_clip_grad(parameters, recipe["clip_norm"], mode=recipe["clip_mode"])
