"""Tables in long form turned for people: a line per model, and a column per condition."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from mettle.tables.columns import Table
from mettle.units import NORMS, eps_text

# What columns are made of, the first that varies, with those named behind it. Two balls are never one column.
_ACROSS = (
    ("attack", "through", "norm", "eps"),
    ("corruption", "severity", "statistic"),
    ("steps",),
    ("eps", "norm"),
    ("measure", "statistic"),
    ("model_b",),
)
_WORDED = ("norm", "eps", "through", "severity", "statistic")  # what a head says in words, or not at all
_PLAIN = {"severity": 0, "statistic": "score"}  # what goes without saying
_MOST = 60  # columns that a page can show
_FILLED = 0.3  # fraction of the cells that a row should fill, so that a page is not a grid of gaps


@dataclass(frozen=True)
class Pivot:
    """A table turned.

    Attributes
    ----------
    fixed : columns that have one value in all rows, with that value
    keys : columns that say what a line is about
    heads : what each column is about, in lines
    lines : values of `keys` and, for each head, the row of the long form, or None where there is none
    """

    fixed: dict[str, Any]
    keys: list[str]
    heads: list[list[str]]
    lines: list[tuple[list[Any], list[dict[str, Any] | None]]]


def pivot(table: Table, frame: pd.DataFrame) -> Pivot | None:
    """Turn rows of a table, or None if they have no models, one column, too many, or mostly gaps.

    Attacks with their balls become columns, else corruptions, steps, radii, or measures: the first of these of
    which there are several.

    Parameters
    ----------
    table : the declared schema; columns before `n` are keys
    frame : rows to show
    """
    if "n" not in table.columns:  # rows are images, not numbers
        return None
    names = [name for name in _keys(table) if name in frame and frame[name].notna().any()]
    several = [name for name in names if frame[name].nunique(dropna=False) > 1]
    # The ball of a pair is that of their training: it says what a line is about.
    possible = [group for group in _ACROSS if group[0] in several and not (group[0] == "eps" and "model_b" in names)]
    if "model" not in names or not possible:
        return None
    across = [name for name in possible[0] if name in several]
    keys = [name for name in names if name == "model" or (name in several and name not in across)]
    keys = [name for name in keys if not _follows(frame, name)]
    if frame.duplicated([*keys, *across]).any():
        return None
    fixed = {name: frame[name].iloc[0] for name in names if name not in [*several, *keys]}
    found = _turned(frame, fixed, keys, across)
    filled = sum(row is not None for _, cells in found.lines for row in cells) / (len(found.lines) * len(found.heads))
    if len(found.heads) > _MOST or filled < _FILLED:
        return None
    return found


def _keys(table: Table) -> list[str]:
    """Columns that tell rows apart: those before `n`, and where a number is from."""
    names = list(table.columns)
    return names[: names.index("n")] + [name for name in ("through", "source") if name in names[names.index("n") :]]


def _follows(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column says nothing more: the split of a data set that has one alone."""
    return name == "split" and frame.groupby("dataset")["split"].nunique().max() == 1


def _turned(frame: pd.DataFrame, fixed: dict[str, Any], keys: list[str], across: list[str]) -> Pivot:
    """Lines and columns in the order in which they first occur."""
    columns: dict[tuple, list[str]] = {}
    lines: dict[tuple, dict[tuple, dict[str, Any]]] = {}
    for row in frame.to_dict("records"):
        column, line = (tuple(_cell(row[name]) for name in group) for group in (across, keys))
        columns.setdefault(column, _head(row, across))
        lines.setdefault(line, {})[column] = row
    filled = [(list(line), [cells.get(column) for column in columns]) for line, cells in lines.items()]
    return Pivot(fixed, keys, list(columns.values()), filled)


def _cell(value: Any) -> Any:
    return None if pd.isna(value) else value


def _head(row: dict[str, Any], across: list[str]) -> list[str]:
    """What a column is about: a name, then its ball or severity."""
    known = {name: row[name] for name in across if not pd.isna(row[name])}
    words = [str(value) for name, value in known.items() if name not in _WORDED]
    words += [
        f"{known[name]:g}" if name == "severity" else known[name]
        for name, plain in _PLAIN.items()
        if known.get(name, plain) != plain
    ]
    if "through" in known:
        words.append(f"through {known['through']}")
    if "eps" in known and (known["eps"] or not words):
        words.append(f"{NORMS.get(row.get('norm'), 'eps')} {eps_text(known['eps'])}")
    return words
