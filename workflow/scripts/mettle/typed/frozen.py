"""Recipes for frozen networks: robustness tokens, heads."""

from typing import NotRequired, TypedDict

from mettle.typed.options import FeatureAttack


class TokensOptimizer(TypedDict):
    """Block `optimizer` of a recipe of kind tokens."""

    name: str
    lr: float
    decay: str
    warmup_steps: int


class TokensRecipe(TypedDict):
    """A recipe of kind tokens."""

    kind: str
    extends: NotRequired[str]
    n: int
    position: str
    init_std: float
    steps: int
    batch_size: int
    invariance: float
    precision: str
    share_attack: NotRequired[bool]
    optimizer: TokensOptimizer
    attack: FeatureAttack


class HeadAugment(TypedDict):
    """Block `augment` of a recipe of kind head for classification."""

    random_resized_crop: bool
    scale: list[float]
    ratio: list[float]
    interpolation: str
    horizontal_flip: bool


class HeadRecipe(TypedDict):
    """A recipe of kind head for classification."""

    kind: str
    extends: NotRequired[str]
    method: str
    blocks: list[int]
    average: list[bool]
    lr: list[float]
    scaling: str
    momentum: float
    steps: int
    batch_size: int
    holdout: int
    precision: str
    neighbours: int
    temperature: float
    augment: HeadAugment
