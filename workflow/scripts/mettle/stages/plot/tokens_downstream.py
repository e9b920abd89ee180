"""Heads on frozen networks, clean and under attack, after Pulfer et al. 2024 (arXiv:2503.10191)."""

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mettle.plan.figures.downstream import series_of
from mettle.stages.plot.style import PAGE, footnote, looks, share_axis, style
from mettle.stages.plot.transfer import TITLES
from mettle.units import eps_text

_SEEN = {"self": "adaptive", "base": "transfer"}


def draw(table: pd.DataFrame) -> Figure:
    """A row per network, a column per task: the score of clean images, and under each attack.

    Models without tokens are shown at every attack as attacked through themselves. Bars are 95 % intervals over images.

    Parameters
    ----------
    table : rows of table `tokens_downstream`
    """
    table = table.assign(series=[series_of(*row) for row in table[["n_tokens", "head"]].itertuples(index=False)])
    networks, tasks = (list(dict.fromkeys(table[key])) for key in ("network", "task"))
    names = list(dict.fromkeys(table["series"]))
    marks = dict(zip(names, looks(len(names)), strict=True))
    with style():
        size = (min(PAGE, 2.4 * len(tasks) + 0.4), 2.2 * len(networks) + 0.5)
        figure, axes = pyplot.subplots(len(networks), len(tasks), figsize=size, squeeze=False)
        for line, network in zip(axes, networks, strict=True):
            for axis, task in zip(line, tasks, strict=True):
                own = table[(table["task"] == task) & (table["network"] == network)]
                if len(own):
                    _panel(axis, own[own["measure"] == _shown(own)], marks)
                    more = f"{network}: " if len(networks) > 1 else ""
                    axis.set_title(f"{more}{task}, {', '.join(dict.fromkeys(own['dataset']))}")
                else:
                    axis.set_axis_off()
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        footnote(figure, table)
    return figure


def _shown(table: pd.DataFrame) -> str:
    """The first measure of a task of which more is better."""
    return next(measure for measure in table["measure"] if measure in TITLES)


def _panel(axis: Axes, table: pd.DataFrame, marks: dict[str, tuple[str, str]]) -> None:
    attacks = list(
        dict.fromkeys(table.loc[table["attack"] != "clean", ["attack", "through", "eps"]].itertuples(index=False))
    )
    attacks.sort(key=lambda attack: (attack.eps, attack.through == "self"))
    shifts = np.linspace(-0.2, 0.2, len(marks)) if len(marks) > 1 else [0.0]
    for (label, (colour, mark)), shift in zip(marks.items(), shifts, strict=True):
        rows = table[table["series"] == label].set_index("attack")
        places = {0: "clean"} | {place + 1: _own(rows, attack) for place, attack in enumerate(attacks)}
        found = rows.loc[[name for name in places.values() if name in rows.index], ["value", "lo", "hi"]].astype(float)
        x = np.array([place for place, name in places.items() if name in rows.index]) + shift
        bars = [found["value"] - found["lo"], found["hi"] - found["value"]]
        axis.errorbar(x, found["value"], yerr=bars, color=colour, marker=mark, ms=4, lw=0.8, ls="", label=label)
    words = [f"{_SEEN.get(attack.through, attack.through)}\n{eps_text(attack.eps)}" for attack in attacks]
    axis.set_xticks(range(len(attacks) + 1), ["clean", *words])
    axis.set_ylabel(TITLES[table["measure"].iloc[0]])
    axis.set_xlim(-0.5, len(attacks) + 0.5)
    axis.set_ylim(0, 1.08 * float(table["hi"].max()))
    axis.grid(False, axis="x")
    share_axis(axis)


def _own(rows: pd.DataFrame, attack: object) -> str:
    """The attack of this eps on a model: this one or, without tokens, the one through itself; empty for none."""
    if attack.attack in rows.index:
        return attack.attack
    same = rows[(rows["through"] == "self") & (rows["eps"] == attack.eps)]
    return same.index[0] if len(same) and not rows["n_tokens"].any() else ""
