"""Optimiser and learning rates of a recipe, by timm's factories, and what they do not have."""

import math
from typing import Any

from timm.optim import create_optimizer_v2, param_groups_weight_decay
from timm.scheduler import PolyLRScheduler, create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.optim import Optimizer

from mettle.models.rates import OneCycle, Warmed
from mettle.typed import Recipe

# Of `fixed_paper`: the part of a parameter's name by which its learning rate becomes 0.
_BACKBONE = "backbone"


def make(
    model: nn.Module, recipe: Recipe, updates_per_epoch: int, transfer: str = "full"
) -> tuple[Optimizer, Scheduler | Warmed]:
    """Optimiser and its schedule, per epoch or per update.

    Parameters
    ----------
    model : the network
    recipe : with the blocks `optimizer` and `schedule`
    updates_per_epoch : optimiser steps in an epoch
    transfer : column of the model's row

    Notes
    -----
    timm's `sgd` has Nesterov momentum, its `momentum` is plain SGD with momentum.
    """
    options = recipe["optimizer"]
    plain_sgd = options["name"] == "sgd" and not options["nesterov"]
    own = {"momentum": options["momentum"]} if options["name"] == "sgd" else {"betas": (options["momentum"], 0.999)}
    rate = options["lr"] * scaling(recipe)
    optimizer = create_optimizer_v2(
        _with_rates(model, recipe, rate, transfer) if _by_name(recipe, transfer) else groups(model, recipe),
        opt="momentum" if plain_sgd else options["name"],
        lr=rate,
        weight_decay=options["weight_decay"],
        **own,
    )
    return optimizer, _schedule(optimizer, recipe, updates_per_epoch)


def _schedule(optimizer: Optimizer, recipe: Recipe, updates_per_epoch: int) -> Scheduler | Warmed:
    schedule = recipe["schedule"]
    total = recipe.get("iterations") or recipe["epochs"] * updates_per_epoch
    if schedule["name"] == "poly":
        limits = {"power": schedule["power"], "lr_min": schedule["min_lr"]}
        found = PolyLRScheduler(optimizer, total, t_in_epochs=False, **limits)
    elif schedule["name"] == "one_cycle":
        found = OneCycle(optimizer, total, schedule["rise"])
    else:
        found = _of_timm(optimizer, recipe, updates_per_epoch, math.ceil(total / updates_per_epoch))
    updates = schedule["warmup_updates"]
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
    """Parameters with weight decay, and those without: vectors, biases, and what the network itself excludes."""
    options = recipe["optimizer"]
    if options["decay_all"]:
        return [{"params": list(model.parameters()), "weight_decay": options["weight_decay"]}]
    return param_groups_weight_decay(model, options["weight_decay"], no_weight_decay_list=_excluded(model))


def _excluded(model: nn.Module) -> set[str]:
    """Names of the parameters that the network itself excludes from weight decay."""
    return {
        f"{name}.{key}"
        for name, module in model.named_modules()
        if name.split(".")[-1] == "network" and hasattr(module, "no_weight_decay")
        for key in module.no_weight_decay()
    }


def _by_name(recipe: Recipe, transfer: str) -> bool:
    """Whether names of parameters decide about their decay or rate."""
    return bool(recipe["optimizer"]["no_decay"]) or transfer == "fixed_paper"


def _with_rates(model: nn.Module, recipe: Recipe, rate: float, transfer: str) -> list[dict[str, Any]]:
    """Parameters in groups by weight decay and learning rate.

    The longest part of `no_decay` that is in a name decides. With `fixed_paper` the backbone's name is such a part, and
    also sets the learning rate to 0: the rule of OpenMMLab, by which tables of Swin's position biases keep theirs.
    """
    options = recipe["optimizer"]
    keys = [*options["no_decay"], *([_BACKBONE] if transfer == "fixed_paper" else [])]
    still = set() if options["decay_all"] else _excluded(model)
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = max((key for key in keys if key in name), key=len, default="")
            decays = not key and name not in still and (options["decay_all"] or parameter.ndim > 1)
            cell = options["weight_decay"] if decays else 0.0, 0.0 if key == _BACKBONE else rate
            found.setdefault(cell, []).append(parameter)
    return [{"params": many, "weight_decay": decay, "lr": lr} for (decay, lr), many in found.items()]


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
