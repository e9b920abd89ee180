"""Figures: each module has `draw(table) -> Figure` and reads no file."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mettle import tables
from mettle.stages.plot import (
    fig1_inversions,
    fig2_similarity,
    fig4_agreement,
    fig5_subgroups,
    fig6_probes,
    fig7_effectiveness,
    fig8_convergence,
    fig9_autoattack,
    fig10_ablation,
    fig11_semantics,
    fig12_curves,
    fig14_neighbours,
    style,
)

FIGURES: Mapping[str, tuple[Callable, tables.Table]] = {
    "fig1": (fig1_inversions.draw, tables.FIG1),
    "fig2": (fig2_similarity.draw, tables.FIG2),
    "fig3": (fig2_similarity.draw, tables.FIG3),
    "fig4": (fig4_agreement.draw, tables.FIG4),
    "fig5": (fig5_subgroups.draw, tables.FIG5),
    "fig6": (fig6_probes.draw, tables.FIG6),
    "fig7": (fig7_effectiveness.draw, tables.FIG7),
    "fig8": (fig8_convergence.draw, tables.FIG8),
    "fig9": (fig9_autoattack.draw, tables.FIG9),
    "fig10": (fig10_ablation.draw, tables.FIG10),
    "fig11": (fig11_semantics.draw, tables.FIG11),
    "fig12": (fig12_curves.draw, tables.FIG12),
    "fig13": (fig4_agreement.draw, tables.FIG13),
    "fig14": (fig14_neighbours.draw, tables.FIG14),
    "fig15": (fig14_neighbours.draw, tables.FIG15),
}


def draw(figure: str, table: str | Path, *paths: str | Path) -> None:
    """Draw a figure from its table, in the formats of the paths' endings."""
    make, declared = FIGURES[figure]
    style.save(make(tables.read(table, declared)), *paths)
