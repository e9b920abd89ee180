"""Tables as HTML pages for people."""

from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mettle.tables.columns import Table
from mettle.tables.writing import replace


def page(path: str | Path, table: Table, frame: pd.DataFrame) -> None:
    """Write rows as an HTML page for people, with the table's description and a hint on every column.

    Columns that hold nothing are left out; numbers are rounded to four decimals.
    """
    shown = frame.dropna(axis="columns", how="all")
    heads = "".join(f'<th title="{escape(table.columns[name].text)}">{name}</th>' for name in shown)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in shown.itertuples(index=False))
    head = f'<meta charset="utf-8"><title>{table.name}</title><style>{_STYLE}</style>'
    body = f"<h1>{table.name}</h1><p>{escape(table.text)}</p><table><tr>{heads}</tr>\n{rows}</table>"
    html = f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'
    replace(Path(path), lambda tmp: tmp.write_text(html, encoding="utf-8"))


_STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{padding:.2em .7em;text-align:left;border-bottom:1px solid #ddd}td.n{text-align:right}"
)


def _cell(value: Any) -> str:
    if pd.isna(value):
        return "<td></td>"
    if isinstance(value, float | int | np.number):
        return f'<td class="n">{round(float(value), 4):g}</td>'
    return f"<td>{escape(str(value))}</td>"
