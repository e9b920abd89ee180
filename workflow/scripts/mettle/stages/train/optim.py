"""Optimiser and learning rates of a recipe, made by timm's factories."""

from typing import Any

from timm.optim import create_optimizer_v2, param_groups_weight_decay
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from torch.optim import Optimizer

from mettle.models import Classifier
from mettle.models.transfer import without_rate
from mettle.typed import Recipe


def make(
    model: Classifier, recipe: Recipe, updates_per_epoch: int, transfer: str = "full"
) -> tuple[Optimizer, Scheduler]:
    """Optimiser and its schedule, per epoch or per update.

    Parameters
    ----------
    model : the network
    recipe : with the blocks `optimizer` and `schedule`
    updates_per_epoch : optimiser steps in an epoch
    transfer : the row's; under `fixed_paper` the backbone has learning rate and weight decay 0

    Notes
    -----
    timm's `sgd` has Nesterov momentum, its `momentum` is plain SGD with momentum.
    """
    options = recipe["optimizer"]
    plain_sgd = options["name"] == "sgd" and not options["nesterov"]
    own = {"momentum": options["momentum"]} if options["name"] == "sgd" else {"betas": (options["momentum"], 0.999)}
    optimizer = create_optimizer_v2(
        _still(groups(model, options["weight_decay"], options["decay_all"]), without_rate(model, transfer)),
        opt="momentum" if plain_sgd else options["name"],
        lr=options["lr"] * scaling(recipe),
        weight_decay=options["weight_decay"],
        **own,
    )
    schedule = recipe["schedule"]
    # timm drops the rate of `multistep` one epoch or update before the milestone.
    early = 0.5 if schedule["by"] == "epoch" else 0.5 / updates_per_epoch
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched=schedule["name"],
        num_epochs=recipe["epochs"],
        decay_epochs=schedule["every"],
        decay_milestones=[epoch + early for epoch in schedule["milestones"]],
        decay_rate=schedule["factor"],
        min_lr=schedule["min_lr"],
        warmup_epochs=schedule["warmup_epochs"],
        warmup_lr=schedule["warmup_lr"],
        step_on_epochs=schedule["by"] == "epoch",
        updates_per_epoch=updates_per_epoch,
    )
    return optimizer, scheduler


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


def groups(model: Classifier, weight_decay: float, decay_all: bool) -> list[dict[str, Any]]:
    """Parameters with weight decay, and those without: vectors, biases, and what the network itself excludes."""
    if decay_all:
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return [{"params": trained, "weight_decay": weight_decay}]
    excluded = getattr(model.network, "no_weight_decay", set)()
    return param_groups_weight_decay(model, weight_decay, no_weight_decay_list={f"network.{name}" for name in excluded})


def _still(made: list[dict[str, Any]], still: set[int]) -> list[dict[str, Any]]:
    """Groups of parameters, with those of these identities in a last group of their own, which does not move."""
    parts = [
        group
        | {"params": [value for value in group["params"] if (id(value) in still) == stays]}
        | ({"weight_decay": 0.0, "lr_scale": 0.0} if stays else {})
        for stays in (False, True)
        for group in made
    ]
    return [part for part in parts if part["params"]]


def clip(model: Classifier, recipe: Recipe) -> None:
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
