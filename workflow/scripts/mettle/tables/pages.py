"""Tables as HTML pages for people."""

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mettle import markup
from mettle.tables.columns import Table
from mettle.units import eps_text


def page(path: str | Path, table: Table, frame: pd.DataFrame, provenance: Mapping[str, Any], note: str = "") -> None:
    """Write rows as an HTML page for people; a click on the head of a column sorts them.

    The page has the table's description, a tooltip for every column and, at its end, the provenance. Empty columns are
    left out. Numbers are rounded to four decimals, those below 0.001 to two digits; radii are written
    as `units.eps_text` does.

    Parameters
    ----------
    path : path of the file
    table : the declared schema
    frame : the rows to show
    provenance : what made the rows; `flow.job` gives it
    note : what a reader has to know about these rows, for instance that they are a part of the table
    """
    shown = frame.dropna(axis="columns", how="all")
    heads = "".join(f'<th title="{escape(table.columns[name].text)}">{name}</th>' for name in shown)
    lines = (zip(shown, row, strict=True) for row in shown.itertuples(index=False))
    rows = "".join(f"<tr>{''.join(_cell(name, value) for name, value in line)}</tr>\n" for line in lines)
    title = re.sub(r"^fig(?=\d)", "Numbers of figure ", table.name)
    body = f"<h1>{title}</h1><p>{_text(table.text)}</p><p>{_text(note)}</p>"
    body += f"<table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table>{_made(provenance)}"
    markup.write(path, title, body, _STYLE, _SORT)


_LONG = 60  # characters from which on a text is wrapped
_STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}h2{font-size:1em;margin-top:2em}"
    "td,th{padding:.2em .7em;text-align:left;border-bottom:1px solid #ddd}td.n{text-align:right}"
    "td{white-space:nowrap}td.long{white-space:normal;min-width:24em}p:empty{display:none}"
    "th{cursor:pointer;position:sticky;top:0;background:#fff}"
)

# Numbers by value, missing ones lowest; a second click reverses the order.
_SORT = """
const body = document.querySelector("tbody");
document.querySelectorAll("th").forEach((head, i) => head.addEventListener("click", () => {
  const down = head.dataset.down = head.dataset.down === "1" ? -1 : 1;
  const text = row => row.cells[i].textContent;
  const number = row => text(row) ? Number(row.cells[i].dataset.value ?? text(row)) : -Infinity;
  const numbers = body.querySelector(`td.n:nth-child(${i + 1})`);
  const compare = (a, b) => numbers ? number(a) - number(b) : text(a).localeCompare(text(b));
  body.append(...[...body.rows].sort((a, b) => down * compare(a, b)));
}));
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
