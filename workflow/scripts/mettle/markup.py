"""Pages for people: HTML in one file that needs no other."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mettle.files import atomic


def write(path: str | Path, title: str, body: str, style: str, script: str = "") -> None:
    """Write a page, atomically.

    Parameters
    ----------
    path : file to write
    title : plain text
    body : HTML
    style : CSS
    script : JavaScript that runs once the body is there
    """
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8">{viewport}<title>{escape(title)}</title><style>{style}</style>'
    scripts = f"<script>{script}</script>" if script else ""
    html = f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{body}{scripts}</body></html>\n'
    with atomic(path) as tmp:
        tmp.write_text(html, encoding="utf-8")


def terms(told: Mapping[str, Any]) -> str:
    """A list of terms and what they are; what is not text is written as JSON."""
    items = ((key, value if isinstance(value, str) else json.dumps(value)) for key, value in told.items())
    return f"<dl>{''.join(f'<dt>{escape(key)}</dt><dd>{escape(value)}</dd>' for key, value in items)}</dl>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table, from cells of HTML; the first cell of a row is its head."""
    top = "".join(f'<th scope="col">{head}</th>' for head in heads)
    lines = (
        f'<tr><th scope="row">{cells[0]}</th>{"".join(f"<td>{cell}</td>" for cell in cells[1:])}</tr>' for cells in rows
    )
    css = f' class="{kind}"' if kind else ""
    return f'<div class="wide"><table{css}><thead><tr>{top}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def address(kind: str, data: bytes) -> str:
    """Address that holds a picture itself.

    Parameters
    ----------
    kind : png or jpeg
    data : the encoded picture
    """
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
