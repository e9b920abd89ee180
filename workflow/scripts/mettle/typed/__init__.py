"""
Typed dicts of what the schemas describe: the keys of rows, recipes and options, once defaults are filled in.

Meanings, units and bounds are in `workflow/schemas`; a test compares the keys and their types.
"""

from mettle.typed.frozen import HeadAugment, HeadRecipe, TokensOptimizer, TokensRecipe
from mettle.typed.options import AttackOptions, Corruptions, FeatureAttack, SharedAttack
from mettle.typed.recipes import (
    Augment,
    BackboneOptions,
    EpsSchedule,
    Input,
    LinearHead,
    MaskRcnn,
    Mix,
    Optimizer,
    Prime,
    PrimeColor,
    PrimeDiffeomorphism,
    PrimeFilter,
    Recipe,
    Schedule,
    TrainingAttack,
    UperNet,
    Validation,
)
from mettle.typed.rows import DatasetRow, ModelRow

__all__ = [
    "AttackOptions",
    "Augment",
    "BackboneOptions",
    "Corruptions",
    "DatasetRow",
    "EpsSchedule",
    "FeatureAttack",
    "HeadAugment",
    "HeadRecipe",
    "Input",
    "LinearHead",
    "MaskRcnn",
    "Mix",
    "ModelRow",
    "Optimizer",
    "Prime",
    "PrimeColor",
    "PrimeDiffeomorphism",
    "PrimeFilter",
    "Recipe",
    "Schedule",
    "SharedAttack",
    "TokensOptimizer",
    "TokensRecipe",
    "TrainingAttack",
    "UperNet",
    "Validation",
]
