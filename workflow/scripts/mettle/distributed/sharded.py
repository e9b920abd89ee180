"""
Weights in shards (FSDP: Zhao et al. 2023, arXiv:2304.11277), for models that do not fit into the memory of one device.

By torch's `fully_shard`: each process keeps a part of every weight, its gradient and its optimiser state; a block has
its full weights while it runs, and gradients are summed as they come. The model keeps its own names, so an attack runs
it like any other. All processes must run it equally often.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from mettle.models import Classifier, frozen
from mettle.models.transfer import FIXED
from mettle.typed import Recipe


def check(recipe: Recipe, transfer: str = "full") -> None:
    """Raise ValueError for a recipe, or a row's `transfer`, that cannot be trained in shards."""
    if transfer in FIXED:
        raise ValueError(
            f"transfer '{transfer}' leaves most weights out of training, which strategy 'fsdp' does not support: set "
            "the configuration's train.strategy to 'ddp'"
        )
    if recipe["clip_norm"] is not None and recipe["clip_mode"] == "agc":
        raise ValueError(
            "clip_mode 'agc' needs full weights, which 'fsdp' does not have: set clip_mode to 'norm' or 'value', "
            "or the configuration's train.strategy to 'ddp'"
        )
    attack = recipe.get("attack") or {"best": False}
    if attack["best"] and attack["precision"] != "fp32":
        raise ValueError(
            f"attack.best with attack.precision '{attack['precision']}' asks doubtful images again, so that processes "
            "pass through the model a different number of times, which strategy 'fsdp' cannot: set the precision to "
            "'fp32', or the configuration's train.strategy to 'ddp'"
        )


def shard(model: Classifier, device: torch.device) -> Classifier:
    """The model with its weights in shards, block by block, on the devices of all processes.

    Raises
    ------
    ValueError
        If the network cannot run in shards: if blocks share weights, or other code uses weights of a block.
    """
    mesh = torch.distributed.init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for module in [*blocks(model.network), model]:
        fully_shard(module, mesh=mesh, reshard_after_forward=True)
        module.set_gradient_divide_factor(1.0)  # a sum: each process has divided by the whole batch
        module.set_force_sum_reduction_for_comms(True)
    model.to(device)  # statistics of BatchNorm
    try:
        with torch.no_grad(), frozen(model):
            model(model.mean.new_zeros(1, 3, *model.size))
    except (RuntimeError, ValueError) as error:
        name = type(model.network).__name__
        raise ValueError(f"{name} does not run in shards ({error}): set train.strategy to 'ddp'") from error
    return model


def sentence(model: nn.Module) -> str:
    """Numbers of weights of this process and of all, in words."""
    own = sum(parameter.to_local().numel() for parameter in model.parameters())
    every, size = sum(parameter.numel() for parameter in model.parameters()), torch.distributed.get_world_size()
    return f"weights in shards: the first of {size} processes holds {own:,} of {every:,}"


def blocks(network: nn.Module) -> list[nn.Module]:
    """The modules that a network is a chain or list of: of several layers each, and the innermost of such."""
    chains = [module for module in network.modules() if isinstance(module, nn.Sequential | nn.ModuleList)]
    found = {module for chain in chains for module in chain if _is_block(module)}
    return [module for module in network.modules() if module in found and not found & {*module.modules()} - {module}]


def _is_block(module: nn.Module) -> bool:
    several = any(True for _ in module.children()) and not isinstance(module, nn.ModuleList | nn.ModuleDict)
    return several and any(True for _ in module.parameters())


def full(value: Any, keep: bool) -> Any:
    """Plain data with full tensors on the CPU in place of shards; all processes must call it.

    Parameters
    ----------
    value : tensors in dictionaries and lists
    keep : whether this process wants them; the others get None in place of what was in shards, and need no memory
    """
    if isinstance(value, dict):
        return {key: full(entry, keep) for key, entry in value.items()}
    if isinstance(value, list):
        return [full(entry, keep) for entry in value]
    if not isinstance(value, DTensor):
        return value
    found = value.full_tensor()
    return found.detach().cpu() if keep else None


def spread(target: nn.Module | Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """A state of full tensors as that of a model or an optimiser whose weights are in shards."""
    if isinstance(target, nn.Module):
        return {key: _spread(state[key], own) for key, own in target.state_dict().items()}
    own = [parameter for group in target.param_groups for parameter in group["params"]]
    entries = state["state"].items()
    return state | {
        "state": {place: {key: _spread(value, own[place]) for key, value in entry.items()} for place, entry in entries}
    }


def _spread(value: Any, own: Tensor) -> Any:
    """A value as its owner's weight is: in shards if it is of its shape and this is."""
    if not isinstance(own, DTensor) or not isinstance(value, Tensor) or value.shape != own.shape:
        return value
    value = value.to(own.device)
    return distribute_tensor(value, own.device_mesh, own.placements, src_data_rank=None)
