"""Features: what a network without a head puts out, its class token and patch tokens. There is nothing to score."""

from typing import Any, NoReturn

from mettle.tasks.classification import labels
from mettle.tasks.task import Task


def _refuse(*given: Any) -> NoReturn:
    raise ValueError("a network without a head has no answers: they can be compared, but neither scored nor attacked")


FEATURES = Task(
    name="features",
    targets=labels,
    check=_refuse,
    goal=_refuse,
    aims={},
    logits=False,
    answers=_refuse,
    table=None,
    score=None,
)
