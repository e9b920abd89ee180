"""Who fools whom: accuracy of models on images that were attacked through other models."""

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure

from mettle.stages.plot.style import LETTER, style
from mettle.units import NORMS, eps_text

_CELL = 0.62  # inches
_DARK = 0.6  # from which text is white


def draw(table: pd.DataFrame) -> Figure:
    """A row per model that the attack saw, a column per model that its images were shown to, clean images on top.

    Cells have the accuracy in percent, with half its 95 % interval.

    Parameters
    ----------
    table : rows of table `surrogates`
    """
    seen, models = (list(dict.fromkeys(table[key])) for key in ("label_through", "label"))
    values = {(row.label_through, row.label): row for row in table.itertuples()}
    clean = table.drop_duplicates("label").set_index("label")["clean"]
    grid = np.array([[clean[model] for model in models]] + [[values[by, of].value for of in models] for by in seen])
    with style():
        beside, below = (LETTER * max(map(len, names)) + 0.6 for names in (["clean images", *seen], models))
        figure, axis = pyplot.subplots(figsize=(_CELL * len(models) + beside, 0.36 * (len(seen) + 1) + below))
        axis.imshow(grid.astype(float), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for line, of in np.ndindex(grid.shape):
            text = f"{100 * grid[line, of]:.0f}"
            if line:
                row = values[seen[line - 1], models[of]]
                text += f"\n± {50 * (row.hi - row.lo):.0f}"
            colour = "white" if grid[line, of] > _DARK else "black"
            axis.text(of, line, text, ha="center", va="center", fontsize=6, color=colour)
        axis.set_xticks(range(len(models)), models, rotation=90)
        axis.set_yticks(range(len(seen) + 1), ["clean images", *seen])
        axis.set_ylabel("attacked through")
        axis.set_title(f"accuracy in %, {NORMS[table['norm'].iloc[0]]} {eps_text(table['eps'].iloc[0])}")
        axis.grid(visible=False)
    return figure
