"""Networks, their common interface, and their weights: the only package that loads and saves weights."""

from mettle.models.architectures import ARCHITECTURES, Architecture, build
from mettle.models.classifier import Classifier, create, frozen
from mettle.models.device import Policy, policy
from mettle.models.finetune import finetune
from mettle.models.fold import Folded, exact, folded
from mettle.models.weights import load, save

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Classifier",
    "Folded",
    "Policy",
    "build",
    "create",
    "exact",
    "finetune",
    "folded",
    "frozen",
    "load",
    "policy",
    "save",
]
