"""The studies whose figures there are, for the report."""

import re
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Study:
    """A published study.

    Attributes
    ----------
    title, authors : authors with the year
    arxiv : number
    figures : names of its figures and tables, numbered ones in their order
    """

    title: str
    authors: str
    arxiv: str
    figures: tuple[str, ...]


STUDIES = (
    Study(
        "Revisiting the Relation Between Robustness and Universality",
        "Klabunde et al. 2025",
        "2510.19427",
        (*(f"fig{number}" for number in (1, 2, 3, 4, 5, 6, 13, 14, 15)), "universality_accuracy"),
    ),
    Study(
        "A Light Recipe to Train Robust Vision Transformers",
        "Debenedetti et al. 2023",
        "2209.07399",
        (*(f"fig{number}" for number in range(7, 13)), "published"),
    ),
    Study(
        "Robustness Tokens: Towards Adversarial Robustness of Transformers",
        "Pulfer et al. 2024",
        "2503.10191",
        ("tokens_training", "tokens_features", "tokens_activations", "tokens_corruptions", "tokens_downstream"),
    ),
    Study(
        "Does Robustness on ImageNet Transfer to Downstream Tasks?",
        "Yamada and Otani 2022",
        "2204.03934",
        ("transfer", "prime"),
    ),
)


def told(figures: Collection[str]) -> list[tuple[Study, str]]:
    """Studies of which there are figures or tables, with these in words.

    Parameters
    ----------
    figures : names of those that a configuration shows
    """
    found = [(study, [name for name in study.figures if name in figures]) for study in STUDIES]
    return [(study, _words(names)) for study, names in found if names]


def _words(names: list[str]) -> str:
    """`figures 1, 2, published`."""
    numbers = [name.removeprefix("fig") for name in names if re.fullmatch(r"fig\d+", name)]
    others = [name for name in names if name.removeprefix("fig") not in numbers]
    noun = ["figure" if len(numbers) == 1 else "figures"] if numbers else []
    return ", ".join([" ".join([*noun, ", ".join(numbers)])] * bool(numbers) + others)
