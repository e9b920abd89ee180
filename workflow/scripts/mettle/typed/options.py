"""Options of attacks and corruptions."""

from typing import NotRequired, TypedDict


class AttackOptions(TypedDict):
    """An entry of `attack.attacks`: keys of all methods, then those of some.

    Jobs get it with numbers in place of `own`, and `step_size` in place of `relative_step`.
    """

    method: str
    images: int | None
    through: str
    norm: str
    eps: float | str
    steps: NotRequired[int]
    step_size: NotRequired[float | None]
    relative_step: NotRequired[float]
    random_start: NotRequired[bool]
    restarts: NotRequired[int]
    target: NotRequired[str]
    early_stop: NotRequired[bool]
    engine: NotRequired[str]
    loss: NotRequired[str]
    targets: NotRequired[int]
    queries: NotRequired[int]
    p_init: NotRequired[float]
    gamma: NotRequired[float]
    first: NotRequired[float]
    max_step: NotRequired[float]
    attacks: NotRequired[list[str]]


class Corruptions(TypedDict):
    """An entry of `corrupt.corruptions`: which corruptions, how strong, on which images."""

    types: list[str]
    severities: list[int]
    family: str
    images: int | None
    resize: int | None
    crop: int | None
    parity: list[str]
    frosts: str | None
    by_type: bool
    stored: bool


class FeatureAttack(TypedDict):
    """An entry of `drift.attacks`, or the block `attack` of a recipe of kind tokens."""

    through: str
    similarity: str
    norm: str
    eps: float
    steps: int
    step_size: float | None
    restarts: int
    rounding: bool
    max_mse: float | None


class SharedAttack(TypedDict):
    """Attacked images of all updates of trainings of robustness tokens, that have all of this in common."""

    seed: int
    steps: int
    batch_size: int
    precision: str
    attack: FeatureAttack
