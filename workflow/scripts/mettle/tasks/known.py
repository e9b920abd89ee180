"""All tasks by name."""

from collections.abc import Mapping
from typing import Any

from mettle.tasks.classification import CLASSIFICATION
from mettle.tasks.depth import DEPTH
from mettle.tasks.detection import DETECTION
from mettle.tasks.features import FEATURES
from mettle.tasks.segmentation import SEGMENTATION
from mettle.tasks.task import Task

TASKS = {task.name: task for task in (CLASSIFICATION, SEGMENTATION, DETECTION, DEPTH, FEATURES)}


def task_of(about: Mapping[str, Any], path: object) -> Task:
    """The task that a model was trained for, from the metadata of its weights; classification if they name none.

    Parameters
    ----------
    about : metadata of the weights
    path : file of the weights, for the message

    Raises
    ------
    ValueError
        If there is no such task.
    """
    name = about.get("task", CLASSIFICATION.name)
    if name not in TASKS:
        raise ValueError(f"{path}: made for the task '{name}', but models here are made for: {', '.join(TASKS)}")
    return TASKS[name]
