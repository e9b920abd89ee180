"""Tables as HTML pages for people."""

import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mettle import markup
from mettle.tables.columns import Table
from mettle.tables.pivots import Pivot, pivot
from mettle.units import eps_text


def page(path: str | Path, table: Table, frame: pd.DataFrame, provenance: Mapping[str, Any], note: str = "") -> None:
    """Write rows as an HTML page for people; a click on the head of a column sorts them.

    The page opens with a line per model and a column per condition where the rows can be turned so (`pivots.pivot`), a
    number's interval and note as its tooltip; all rows in long form are behind it. It has the table's description, a
    tooltip for every column and, at its end, the provenance. Empty columns are left out. Numbers are rounded to four
    decimals, those below 0.001 to two digits; radii are written as `units.eps_text` does.

    Parameters
    ----------
    path : path of the file
    table : the declared schema
    frame : the rows to show
    provenance : what made the rows; `flow.job` gives it
    note : what a reader has to know about these rows, for instance that they are a part of the table
    """
    title = re.sub(r"^fig(?=\d)", "Numbers of figure ", table.name)
    body = f"<h1>{title}</h1><p>{_text(table.text)}</p><p>{_text(note)}</p>"
    body += f"{_rows(table, frame)}{_made(provenance)}"
    markup.write(path, title, body, _STYLE, _SORT)


def _rows(table: Table, frame: pd.DataFrame) -> str:
    """The rows turned, and behind that as they are; or as they are alone."""
    turned, whole = pivot(table, frame), _long(table, frame)
    if turned is None:
        return whole
    return (
        f"{_pivoted(table, turned)}<details><summary>All {len(frame)} rows, a row per number</summary>{whole}</details>"
    )


def _long(table: Table, frame: pd.DataFrame) -> str:
    shown = frame.dropna(axis="columns", how="all")
    heads = "".join(_column(table, name) for name in shown)
    lines = (zip(shown, row, strict=True) for row in shown.itertuples(index=False))
    return _grid(heads, ("".join(_cell(name, value) for name, value in line) for line in lines))


def _pivoted(table: Table, turned: Pivot) -> str:
    """The rows turned, with what they have in common above them."""
    fixed = {name: eps_text(value) if name == "eps" else value for name, value in turned.fixed.items()}
    common = ", ".join(
        f"{escape(name)} <b>{escape(str(value))}</b>" for name, value in fixed.items() if value is not None
    )
    heads = "".join(_column(table, name) for name in turned.keys)
    heads += "".join(f'<th class="n">{"<br>".join(map(_breakable, head))}</th>' for head in turned.heads)
    lines = (
        "".join(_cell(name, value) for name, value in zip(turned.keys, keys, strict=True))
        + "".join(map(_number, cells))
        for keys, cells in turned.lines
    )
    return f"<p>{common}</p>{_grid(heads, lines)}{_notes(turned)}"


def _notes(turned: Pivot) -> str:
    """What daggers stand for."""
    rows = (row for _, cells in turned.lines for row in cells if row is not None)
    notes = list(dict.fromkeys(row["note"] for row in rows if not pd.isna(row.get("note"))))
    if len(notes) > _NOTES:
        return f"<p>† {len(notes)} different notes: hold the pointer over a number, or see all rows.</p>"
    return "".join(f"<p>† {escape(str(note))}</p>" for note in notes)


def _breakable(name: str) -> str:
    """A name that a narrow column may break behind its underscores."""
    return escape(name).replace("_", "_<wbr>")


def _column(table: Table, name: str) -> str:
    return f'<th title="{escape(table.columns[name].text)}">{name}</th>'


def _grid(heads: str, lines: Iterable[str]) -> str:
    rows = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table></div>'


def _number(row: Mapping[str, Any] | None) -> str:
    """A number with its interval, count and note as tooltip, a published one beside it, a dagger for a note."""
    if row is None:
        return "<td></td>"
    told = {name: row[name] for name in ("value", "lo", "hi", "n", "note", "published") if not pd.isna(row.get(name))}
    words = [f"{_rounded(told['lo'])} to {_rounded(told['hi'])}"] if {"lo", "hi"} <= set(told) else []
    words += [f"n = {told['n']}"] if "n" in told else []
    words += [str(told["note"])] if "note" in told else []
    shown = _rounded(float(told["value"])) if "value" in told else "none"
    mark = "†" if "note" in told else ""
    beside = f"<br><small>published {_rounded(float(told['published']))}</small>" if "published" in told else ""
    value = f' data-value="{float(told["value"])!r}"' if "value" in told else ' data-value="-Infinity"'
    return f'<td class="n"{value} title="{escape("; ".join(words))}">{shown}{mark}{beside}</td>'


_LONG = 60  # characters from which on a text is wrapped
_NOTES = 5  # that are spelled out below a turned table
_STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}h2{font-size:1em;margin-top:2em}"
    "td,th{padding:.2em .7em;text-align:left;border-bottom:1px solid #ddd}td.n{text-align:right}"
    "td{white-space:nowrap}td.long{white-space:normal;min-width:24em}p:empty{display:none}"
    "th{cursor:pointer;position:sticky;top:0;background:#fff;vertical-align:bottom}th.n{text-align:right}"
    ".wide{overflow:auto;max-height:90vh}summary{cursor:pointer;margin:1em 0}small{color:#666}"
    "dd{overflow-wrap:anywhere}th.n{max-width:11em;overflow-wrap:break-word}"
    "@media(max-width:600px){body{margin:.8em}td,th{padding:.2em .4em}}"
)

# Numbers by value, missing ones lowest; a second click reverses the order.
_SORT = """
document.querySelectorAll("table").forEach(table => {
  const body = table.tBodies[0];
  table.querySelectorAll("th").forEach((head, i) => head.addEventListener("click", () => {
    const down = head.dataset.down = head.dataset.down === "1" ? -1 : 1;
    const text = row => row.cells[i].textContent;
    const number = row => text(row) ? Number(row.cells[i].dataset.value ?? text(row)) : -Infinity;
    const numbers = body.querySelector(`td.n:nth-child(${i + 1})`);
    const compare = (a, b) => numbers ? number(a) - number(b) : text(a).localeCompare(text(b));
    body.append(...[...body.rows].sort((a, b) => down * compare(a, b)));
  }));
});
"""


def _text(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _made(provenance: Mapping[str, Any]) -> str:
    """Provenance of a table as a description list."""
    return f"<h2>How this table was made</h2>{markup.terms(provenance)}"


def _cell(name: str, value: Any) -> str:
    if pd.isna(value):
        return "<td></td>"
    if name == "eps":
        return f'<td class="n" data-value="{float(value)!r}">{eps_text(value)}</td>'
    if isinstance(value, int | np.integer):
        return f'<td class="n">{value}</td>'
    if isinstance(value, float | np.floating):
        return f'<td class="n">{_rounded(float(value))}</td>'
    kind = ' class="long"' if len(str(value)) > _LONG else ""
    return f"<td{kind}>{escape(str(value))}</td>"


def _rounded(value: float) -> str:
    """Four decimals, or two digits of smaller numbers."""
    return f"{value:.2g}" if 0 < abs(value) < 1e-3 else f"{round(value, 4):g}"
