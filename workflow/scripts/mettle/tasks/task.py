"""What a task is: one record of everything that an evaluation asks of it."""

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
    A task, for evaluations that know none.

    Attributes
    ----------
    name : as column `task` of datasets.tsv and the metadata of weights have it
    targets : of (store, positions), the targets of the images at these positions, one per image
    check : of (outputs, targets, ids), raises ValueError if the targets are none that the model can answer; names the
        images by their ids
    goal : of targets, what an attack raises and which answers are its success
    aims : ways to choose what a targeted attack aims at: of (clean outputs, targets, draws), its goal
    logits : whether outputs (n, classes, ...) are logits, which nobody should have turned into probabilities
    answers : of (outputs, targets), what a table keeps of each image: a column (n,) by name
    table : the table of attacked images; its column `clean_x` is the answer `x` to the clean image
    score : the number that sums up such a table
    """

    name: str
    targets: Callable[[Store, np.ndarray], Tensor]
    check: Callable[[Tensor, Tensor, Sequence[int]], None]
    goal: Callable[[Tensor], Goal]
    aims: Mapping[str, Callable[[Tensor, Tensor, Draws], Goal]]
    logits: bool
    answers: Callable[[Tensor, Tensor], dict[str, Tensor]]
    table: Table
    score: Score

    def attacked(self, clean: Tensor, outputs: Tensor, targets: Tensor) -> dict[str, Any]:
        """Columns of the table that are made of the model's outputs for clean and attacked images, and of targets."""
        before = {f"clean_{key}": value for key, value in self.answers(clean, targets).items()}
        found = before | self.answers(outputs, targets)
        return {key: value for key, value in found.items() if key in self.table.columns}
