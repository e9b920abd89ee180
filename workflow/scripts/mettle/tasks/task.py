"""The record that defines a task: everything an evaluation needs to know about it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from mettle.data.store import Store
from mettle.perturb import Draws, Goal
from mettle.tables import Table
from mettle.tasks.scores import Score


@dataclass(frozen=True)
class Task:
    """
    A task, as evaluations see it.

    Attributes
    ----------
    name : as in column `task` of datasets.tsv and in the metadata of weights
    targets : ``targets(store, positions)``, the targets of the images at these positions, one per image
    check : ``check(outputs, targets, ids)``, raises ValueError if the model cannot predict these targets; the message
        names the images by their ids
    goal : ``goal(targets)``, what an untargeted attack maximises and what counts as its success
    aims : by name, how a targeted attack chooses its aim: ``aim(clean outputs, targets, draws)`` gives its goal
    logits : whether outputs (n, classes, ...) are logits, so that probabilities in their place are a mistake
    answers : ``answers(outputs, targets)``, what a table stores for each image: columns (n, ...) by name
    table : the table of attacked images; column `clean_x` is the answer `x` to the clean image. None where there is no
        such table
    score : the number that sums up its answers; None where there are none
    native : whether models take images at their own size and answer at that size
    """

    name: str
    targets: Callable[[Store, np.ndarray], Tensor]
    check: Callable[[Tensor, Tensor, Sequence[int]], None]
    goal: Callable[[Tensor], Goal]
    aims: Mapping[str, Callable[[Tensor, Tensor, Draws], Goal]]
    logits: bool
    answers: Callable[[Tensor, Tensor], dict[str, Tensor]]
    table: Table | None
    score: Score | None
    native: bool = False

    def attacked(self, clean: Tensor, outputs: Tensor, targets: Tensor) -> dict[str, Any]:
        """Columns of the table that follow from the outputs for clean and attacked images and from the targets."""
        before = {f"clean_{key}": value for key, value in self.answers(clean, targets).items()}
        found = before | self.answers(outputs, targets)
        return {key: value for key, value in found.items() if key in self.table.columns}
