"""Text files as people and spreadsheets write them: encodings, line ends, and the cells of a sheet."""

import codecs
from pathlib import Path

from mettle import files

# Blanks around a cell, also no-break ones, and zero-width characters that come with copied text.
BLANK = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"


def read(path: str | Path) -> str:
    """Text of a file in UTF-8, or UTF-16 with a byte order mark; line ends become newlines.

    Raises
    ------
    ValueError
        If it is neither; the message names file and line.
    OSError
        If there is no such file, or it cannot be read.
    """
    data = files.locate(path).read_bytes()
    coding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        text = data.decode(coding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}, line {data[: error.start].count(10) + 1}: is not UTF-8 text: save it as UTF-8"
        ) from error
    if "\0" in text:
        raise ValueError(f"{path} holds bytes that are not text: save it as UTF-8")
    return text


def lines(path: str | Path) -> list[tuple[int, list[str]]]:
    """Number and tab-separated cells of every line but blank ones and comments, which start with #.

    Raises what `read` raises, and ValueError for a quotation mark that opens a cell and is not closed in it.
    """
    found = []
    for number, line in enumerate(read(path).split("\n"), start=1):
        if not line.lstrip(BLANK + '"').startswith("#") and line.strip(BLANK):
            found.append((number, [_cell(text, f"{path}, line {number}") for text in line.split("\t")]))
    return found


def filled(cells: list[str]) -> list[str]:
    """Cells without the empty ones at the end."""
    last = max((position for position, cell in enumerate(cells) if cell), default=-1)
    return cells[: last + 1]


def _cell(text: str, where: str) -> str:
    """A cell without blanks around it, and without the quotation marks that a spreadsheet puts around it."""
    text = text.strip(BLANK)
    if text.startswith('"') and text.count('"') % 2:
        raise ValueError(f"{where}: a quotation mark opens a cell and does not close it: {text[:40]}")
    inner = text[1:-1].replace('""', "")
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in inner
    return text[1:-1].replace('""', '"').strip(BLANK) if quoted else text
