"""
Several processes that train one model, by Lightning Fabric: a small interface to CPU (gloo) and CUDA (nccl).

Each process works on its share of every batch. Under the strategy `ddp` it has all weights, and gradients are added by
one sum after the backward passes; under `fsdp` it has a share of them (`mettle.distributed.sharded`). There is no
wrapper around the model, since an attack runs it many times with other flags than the weight update.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, compress, zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mettle.distributed.batch_norm import GlobalBatchNorm
from mettle.flow import Job
from mettle.models import Classifier, Policy, policy
from mettle.models.checkpoint import STOPPED, Checkpoint
from mettle.typed import Recipe


class ProcessGroup:
    """The processes of a training, as seen from one of them; with a single process, sums are their inputs.

    Parameters
    ----------
    fabric : a launched `lightning_fabric.Fabric`; None for this process alone on the device of its policy
    strategy : `ddp`, or `fsdp` for weights in shards

    Attributes
    ----------
    rank, size : number of this process, from 0, and of all
    first : whether this one writes files and log
    sharded : whether weights are in shards, so that all processes must run the model equally often
    """

    def __init__(self, fabric: Any = None, strategy: str = "ddp") -> None:
        self.fabric, self.sharded = fabric, strategy == "fsdp"
        self.rank, self.size = (0, 1) if fabric is None else (fabric.global_rank, fabric.world_size)
        self.first = self.rank == 0

    def policy(self, job: Job, precision: str) -> tuple[Policy, int]:
        """Device and precision of this process, and how many processes load images for it.

        The threads of the job are divided among the processes of the group.
        """
        threads = max(1, job.threads // self.size)
        found = policy(threads, precision, job.needs_cuda)
        return found if self.fabric is None else dataclasses.replace(found, device=self.fabric.device), threads - 1

    def part(self, batch: np.ndarray) -> np.ndarray:
        """This process's part of a batch; ValueError if there are fewer images than processes."""
        if len(batch) < self.size:
            raise ValueError(
                f"a batch of {len(batch)} images has none for some of {self.size} processes: raise batch_size, or "
                "lower the configuration's train.devices"
            )
        return np.array_split(batch, self.size)[self.rank]

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the processes."""
        return values if self.size == 1 else self.fabric.all_reduce(values.clone(), reduce_op="sum")

    def sums(self, *values: float) -> list[float]:
        """Sums of numbers over the processes."""
        if self.size == 1:
            return list(values)
        return self.sum(torch.tensor(values, dtype=torch.float64, device=self.fabric.device)).tolist()

    def any(self, *flags: bool) -> list[bool]:
        """Whether a flag is set in any process."""
        return [found > 0 for found in self.sums(*map(float, flags))]

    def gather(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of all processes, stacked along a new first dimension."""
        return self.fabric.all_gather(values)

    def collect(self, found: list[Any]) -> list[Any]:
        """What all processes found, one thing per turn, in the order of the list of which `turns` gave each a part."""
        if self.size == 1:
            return found
        parts: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(parts, found)
        return [one for one in chain.from_iterable(zip_longest(*parts)) if one is not None]

    def keep(self, checkpoint: Checkpoint, state: Callable[[], dict[str, Any]], always: bool = False) -> None:
        """Write the state if it is time, in all processes at the same step, and end them if one was asked to end."""
        due, asked = self.any(always or checkpoint.due(), checkpoint.asked_to_end)
        if due:
            checkpoint.save(state())
            self.sums(0.0)  # no process ends before the state is written: Slurm would end the others
            if asked:  # not what this process was asked meanwhile: one that ends alone takes the others with it
                raise SystemExit(STOPPED)

    def turns(self, work: Sequence[Any]) -> tuple[list[Any], int]:
        """This process's part of a list, and how much of it counts: shards need equally many turns of all processes."""
        mine = list(work[self.rank :: self.size])
        spare = -(-len(work) // self.size) - len(mine) if self.sharded else 0
        return mine + [work[0]] * spare, len(mine)

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """A copy of the model's state on the CPU; with shards in the first process only, though all must call it."""
        state = self.full(model.state_dict())
        return {key: value.detach().cpu().clone() for key, value in state.items() if value is not None}

    def full(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state as it would be without shards; with them, in the first process only, though all must call it."""
        if not self.sharded:
            return state
        from mettle.distributed import sharded

        return sharded.full(state, self.first)

    def placed(self, model: Classifier, policy: Policy, say: Callable[[str], None]) -> Classifier:
        """The model on the device of this process, as a whole or in shards, which is logged."""
        if not self.sharded:
            return policy.place(model)
        from mettle.distributed import sharded

        model = sharded.shard(model, policy.device)
        say(sharded.sentence(model))
        return model

    def check(self, recipe: Recipe, transfer: str = "full") -> None:
        """Raise ValueError for a recipe, or a way to use a base, that weights in shards do not support."""
        if self.sharded:
            from mettle.distributed import sharded

            sharded.check(recipe, transfer)

    def load(self, target: nn.Module | Optimizer, state: dict[str, Any]) -> None:
        """Load a full state into a model or an optimiser, in shards or not."""
        if self.sharded:
            from mettle.distributed import sharded

            state = sharded.spread(target, state)
        target.load_state_dict(state)

    def suited(self, model: Classifier, policy: Policy) -> Policy:
        """The policy in a memory layout for the model without shards; shards need weights in the usual layout."""
        if self.sharded:
            return dataclasses.replace(policy, layout=torch.contiguous_format)
        return policy.suited(model)

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace gradients by their sums over the processes; gradients of shards are sums already.

        A process without a gradient of a parameter counts as one with zeros, unless no process has one: a batch without
        objects, say, has no masks to learn from.
        """
        if self.size == 1 or self.sharded:
            return
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        used = self.any(*(parameter.grad is not None for parameter in trained))
        for parameter in compress(trained, used):
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        gradients = [parameter.grad for parameter in compress(trained, used)]
        total = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def statistics(self, batch_norm: str) -> AbstractContextManager:
        """Context of a training pass, in which BatchNorm takes the statistics that the recipe's `batch_norm` names."""
        return GlobalBatchNorm(self) if self.size > 1 and batch_norm == "sync" else nullcontext()

    @torch.no_grad()
    def settle(self, model: nn.Module, batch_norm: str) -> None:
        """One set of running statistics for all, at the end of an epoch: those of the first process, or their mean."""
        if self.size == 1 or batch_norm == "sync":
            return
        share = 1 / self.size if batch_norm == "average" else float(self.first)
        for name, value in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                value.copy_(self.sum(value * share))


def portion(batch: np.ndarray, index: int, count: int) -> np.ndarray:
    """One of `count` portions of a batch, in which image i and its partner in mixing, n - 1 - i, stay together.

    A portion is symmetric like the batch: its own reverse order pairs the same partners.

    Raises
    ------
    ValueError
        If there are fewer pairs than portions.
    """
    n = len(batch)
    pairs = -(-n // 2)
    if pairs < count:
        raise ValueError(
            f"a batch of {n} images has no pair of images for each of {count} shares: raise batch_size, or lower "
            "accumulate or the configuration's train.devices"
        )
    low, high = pairs * index // count, pairs * (index + 1) // count
    return np.concatenate([batch[low:high], batch[max(high, n - high) : n - low]])
