"""
Robustness to corruptions from the scores of single cells, by name of corruption and severity, never by position.

Every score is an array (b,), the value and those of bootstrap samples, and so is what is made of them: the intervals of
means and ratios come out as those of the scores do.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mettle.corruptions import BENCHMARK, GROUPS, SEVERITIES

Cell = tuple[str, int]  # corruption, severity
# Severities of published protocols.
PRESETS: dict[str, tuple[int, ...]] = {
    "michaelis": SEVERITIES,  # Michaelis et al. 2019, arXiv:1907.07484, and ImageNet-C
    "yamada": (1,),  # Yamada & Otani 2022, arXiv:2204.03934
}


@dataclass(frozen=True)
class Grid:
    """Scores of all corruptions at all severities of a protocol.

    Attributes
    ----------
    cells : score of each corruption and severity (b,)
    note : what is missing; None for a complete grid
    """

    cells: Mapping[Cell, np.ndarray]
    note: str | None = None

    def only(self, corruptions: Collection[str] = (), severities: Collection[int] = ()) -> "Grid":
        """The part with these corruptions and severities; all where none are named."""
        return replace(
            self,
            cells={
                (name, severity): value
                for (name, severity), value in self.cells.items()
                if (not corruptions or name in corruptions) and (not severities or severity in severities)
            },
        )

    def by_corruption(self) -> dict[str, list[int]]:
        """Severities that there are of each corruption."""
        found: dict[str, list[int]] = {}
        for name, severity in self.cells:
            found.setdefault(name, []).append(severity)
        return found


def grid(
    cells: Mapping[Cell, np.ndarray],
    corruptions: Sequence[str] = BENCHMARK,
    severities: Sequence[int] = SEVERITIES,
    *,
    incomplete: bool = False,
) -> Grid:
    """The cells of a protocol among those that there are.

    Parameters
    ----------
    cells : score of each corruption and severity (b,); others than those of the protocol are left out
    corruptions, severities : of the protocol
    incomplete : whether cells may be missing, which the note of the grid then says

    Raises
    ------
    ValueError
        If a cell is missing, or all are.
    """
    wanted = [(name, severity) for name in corruptions for severity in severities]
    missing = [cell for cell in wanted if cell not in cells]
    if missing and (not incomplete or len(missing) == len(wanted)):
        raise ValueError(
            f"{len(missing)} of {len(wanted)} cells of the grid of corruptions are missing: {_listed(missing)}: "
            "compute them, or ask for an incomplete grid"
        )
    note = f"incomplete: without {_listed(missing)}" if missing else None
    return Grid({cell: np.asarray(cells[cell], np.float64) for cell in wanted if cell in cells}, note)


def mean(found: Grid) -> np.ndarray:
    """Mean over corruptions of the mean over severities (b,); NaN where there is no cell.

    Of a complete grid that is mPC, the mean performance under corruption, Michaelis et al. 2019, eq. 1.
    """
    of_each = [
        np.mean([found.cells[name, one] for one in each], axis=0) for name, each in found.by_corruption().items()
    ]
    return np.mean(of_each, axis=0) if of_each else np.array(np.nan)


ALL_OF_THEM, WITHOUT_NOISE = "mean", "without_noise"
Part = tuple[str, int | None]  # which corruptions, and which severity: None for all


def parts(found: Grid) -> dict[Part, Grid]:
    """The parts of a grid that have means of their own.

    Returns
    -------
    dict
        All of it, under `mean`; the same at each severity; and at all severities what is no noise, under
        `without_noise`, each group and each corruption, by their names. Parts without a cell are left out.
    """
    kinds = list(found.by_corruption())
    quiet = [name for name in kinds if name not in GROUPS["noise"]]
    chosen = {WITHOUT_NOISE: quiet, **GROUPS, **{name: [name] for name in kinds}}
    severities = sorted({severity for _, severity in found.cells})
    made = {(ALL_OF_THEM, None): found}
    made |= {(ALL_OF_THEM, severity): found.only(severities=[severity]) for severity in severities}
    made |= {(name, None): found.only(names) for name, names in chosen.items() if names}
    return {part: one for part, one in made.items() if one.cells}


def relative(value: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """A mean over its clean score, rPC of Michaelis et al. 2019, eq. 2, as a fraction; NaN where the latter is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(clean > 0, value / clean, np.nan)


# Corruption errors


@dataclass(frozen=True)
class Reference:
    """Top-1 errors of the network to which others are compared.

    Attributes
    ----------
    clean : of clean images
    cells : of each corruption and severity, where published
    means : of each corruption, mean over severities 1 to 5
    source : file
    """

    clean: float
    cells: Mapping[Cell, float]
    means: Mapping[str, float]
    source: str

    def error(self, corruption: str, severities: Collection[int]) -> float:
        """Mean error over severities.

        Raises
        ------
        ValueError
            If it is not published for these severities.
        """
        if sorted(severities) == list(SEVERITIES) and corruption in self.means:
            return self.means[corruption]
        if missing := [cell for cell in ((corruption, one) for one in severities) if cell not in self.cells]:
            raise ValueError(
                f"{self.source} has no error for {_listed(missing)}, so there is no corruption error of it: ask for "
                "severities 1 to 5, for which its mean is known, or leave the corruption out"
            )
        return float(np.mean([self.cells[corruption, one] for one in severities]))


def reference(path: str | Path) -> Reference:
    """The reference in a table with the columns corruption, severity (empty for the mean over 1 to 5) and error.

    Corruption `clean` is the error of clean images.
    """
    rows = pd.read_csv(path, sep="\t", comment="#")
    means = rows[rows["severity"].isna()].set_index("corruption")["error"].to_dict()
    single = rows.dropna(subset="severity")
    cells = {(row.corruption, int(row.severity)): row.error for row in single.itertuples()}
    return Reference(means.pop("clean"), cells, means, str(path))


def corruption_errors(errors: Grid, ratio_to: Reference, clean: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Corruption error CE of each corruption (b,): summed over severities, the ratio to the error of a reference.

    Hendrycks & Dietterich 2019, arXiv:1903.12261, section 4.2. As fractions, where the paper has percent.

    Parameters
    ----------
    errors : top-1 errors
    ratio_to : AlexNet, in the paper
    clean : errors of clean images (b,), which are subtracted, as those of the reference are: relative CE. None for CE

    Raises
    ------
    ValueError
        If the reference has no error for a cell.
    """
    ours, theirs = (0.0, 0.0) if clean is None else (clean, ratio_to.clean)
    return {
        name: (mean(errors.only([name])) - ours) / (ratio_to.error(name, each) - theirs)
        for name, each in errors.by_corruption().items()
    }


def mean_corruption_error(errors: Grid, ratio_to: Reference, clean: np.ndarray | None = None) -> np.ndarray:
    """Mean over corruptions of `corruption_errors`, mCE, or relative mCE with `clean` (b,)."""
    return np.mean(list(corruption_errors(errors, ratio_to, clean).values()), axis=0)


def _listed(missing: Sequence[Cell], most: int = 8) -> str:
    """Cells in words, corruption by corruption."""
    names = dict.fromkeys(name for name, _ in missing)
    parts = [f"{name} at {', '.join(str(severity) for one, severity in missing if one == name)}" for name in names]
    return "; ".join(parts[:most]) + (f"; and {len(parts) - most} more corruptions" if len(parts) > most else "")
