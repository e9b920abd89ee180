"""
Fills the column `sha256` of sheets for the files that are present.

    python -m mettle.commands.checksums config/datasets.tsv config/models/light_recipe.tsv

All other bytes of a sheet are kept. A stated SHA-256 is compared with the file and never overwritten.
"""

import codecs
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mettle import schema, text
from mettle.digests import sha256_of
from mettle.files import atomic
from mettle.plan import zoo
from mettle.plan.sources import Source, parse

_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF8: "utf-8"}
_COLUMN = "sha256"


def main(sheets: Sequence[str]) -> int:
    """Fill sheets and print what was done; returns 1 if a stated SHA-256 is wrong."""
    fits = True
    for sheet in sheets:
        try:
            said, wrong = fill(sheet)
        except (ValueError, OSError) as error:
            said, wrong = [], [str(error)]
        print("\n".join([*said, *wrong] or [f"{sheet}: nothing to fill"]))
        fits = fits and not wrong
    return 0 if fits else 1


def fill(sheet: str | Path) -> tuple[list[str], list[str]]:
    """Write the SHA-256 of the files that are present into a sheet of models or data sets.

    Parameters
    ----------
    sheet : path; a sheet without the column gets it

    Returns
    -------
    said : a sentence per row that was filled
    wrong : a sentence per row whose SHA-256 is not that of its file; such a row stays

    Raises
    ------
    ValueError
        If it is no such sheet, or cannot be read; the message names line and row.
    OSError
        If it does not exist, or cannot be written.
    """
    (_, head), *rows = [(number, text.filled(cells)) for number, cells in text.lines(sheet)] or [(1, [])]
    kind = "models" if "model" in head else "datasets"
    read = schema.read_sheet(sheet, kind)
    key = head.index(schema.load(kind)["required"][0])
    files = {number: _file(read[cells[key]], f"{sheet}, line {number}") for number, cells in rows}
    found = {number: sha256_of(file) for number, file in files.items() if file}
    stated = {number: read[cells[key]].get(_COLUMN) for number, cells in rows}
    new = {number: digest for number, digest in found.items() if not stated[number]}
    wrong = [
        f"{sheet}, line {number}: {files[number]} has SHA-256 {digest}, the row says {stated[number]}: fetch the file "
        "again, or empty the cell"
        for number, digest in found.items()
        if stated[number] not in (None, digest)
    ]
    _write(Path(sheet), new)
    return [f"{sheet}, line {number}: {digest} of {files[number]}" for number, digest in new.items()], wrong


def _file(row: dict[str, Any], where: str) -> Path | None:
    """The file that a row names, if it is present; a folder has no SHA-256."""
    if row["source"] in ("", "train"):
        return None
    source = parse(zoo.address(row["source"], where), where)
    path = _cached(source) if source.scheme == "hf" else source.path
    return path if path and path.is_file() else None


def _cached(source: Source) -> Path | None:
    """A file from Hugging Face in the cache of its client."""
    from huggingface_hub import try_to_load_from_cache

    repository, revision, name = source.hub
    path = try_to_load_from_cache(repository, name, revision=revision)
    return Path(path) if isinstance(path, str) else None


def _write(sheet: Path, new: dict[int, str]) -> None:
    """Put values into the column, by number of the line, in the encoding and with the line ends of the sheet."""
    if not new:
        return
    data = sheet.read_bytes()
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    coding = _MARKS.get(mark, "utf-8")
    pieces = re.split("(\r\n|\r|\n)", data[len(mark) :].decode(coding))  # lines, and their ends between them
    number, head = text.lines(sheet)[0]
    head = text.filled(head)
    column = head.index(_COLUMN) if _COLUMN in head else len(head)
    for line, value in ({number: _COLUMN} | new if column == len(head) else new).items():
        cells = pieces[2 * line - 2].split("\t")
        cells += [""] * (column + 1 - len(cells))
        cells[column] = value
        pieces[2 * line - 2] = "\t".join(cells)
    with atomic(sheet.resolve()) as tmp:
        tmp.write_bytes(mark + "".join(pieces).encode(coding))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
