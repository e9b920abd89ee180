"""
Adapters to the frameworks of other tasks, one module each, so that nothing else imports them.

They are imported when a model of their task is made or loaded: environments of rules that know only classifiers need
not hold their packages.
"""

from importlib import import_module
from types import ModuleType

# By task; each has `create(metadata, seed, drop_path=0)`, and those with linear heads `network` beside.
_MODULES = {"segmentation": "segmenter", "detection": "detector", "depth": "depth"}


def of(task: str) -> ModuleType:
    """The adapter of a task.

    Raises
    ------
    ValueError
        If there is none, or a package that it needs is not installed.
    """
    if task not in _MODULES:
        raise ValueError(f"made for the task '{task}', but models here are made for: {', '.join(_MODULES)}")
    try:
        return import_module("mettle.models.adapters." + _MODULES[task])
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mettle"):
            raise
        raise ValueError(
            f"models of {task} need the package {error.name}, which is not installed here: see requirements.txt"
        ) from error
