"""Every figure and summary table by name."""

from mettle.plan.figures import (
    accuracy,
    atlas,
    cross,
    curves,
    downstream,
    layers,
    light_recipe,
    predictions,
    robustness,
    surrogates,
    tokens,
    universality,
)
from mettle.plan.figures.figure import Figure

FIGURES: dict[str, Figure] = {
    **accuracy.FIGURES,
    **universality.FIGURES,
    **light_recipe.FIGURES,
    **robustness.FIGURES,
    **surrogates.FIGURES,
    **curves.FIGURES,
    **layers.FIGURES,
    **atlas.FIGURES,
    **tokens.FIGURES,
    **downstream.FIGURES,
    **predictions.FIGURES,
    **cross.FIGURES,
}

__all__ = ["FIGURES", "Figure"]
