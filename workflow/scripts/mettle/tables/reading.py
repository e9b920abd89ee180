"""Reading of tables, whole or a row group at a time; a file that is no whole table of its kind is refused."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mettle.tables.columns import META, Table

_NUMBERS = {pa.float64(): "Float64", pa.int64(): "Int64"}


def read(path: str | Path, table: Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Rows of a file that `write` made, checked against the declared schema.

    Vector columns hold one array per row; `vectors` gives them as a matrix. What made the file is in
    `frame.attrs["provenance"]`, a list with one entry per source.

    Raises
    ------
    ValueError
        If the file is no parquet file or was written for another table.
    """
    arrow = _read(path, table, columns)
    frame = arrow.to_pandas()
    for name in frame.columns:  # null stays null: pandas' plain floats would turn it into NaN
        if table.columns[name].nullable and table.columns[name].type in _NUMBERS:
            frame[name] = frame[name].astype(_NUMBERS[table.columns[name].type])
    meta = json.loads(arrow.schema.metadata[META])
    frame.attrs["provenance"] = _distinct([*meta["sources"], meta["made_by"]])
    return frame


def vectors(path: str | Path, table: Table, column: str) -> np.ndarray:
    """A vector column as a matrix of shape (rows, width); beside it, memory holds one row group."""
    matrix, done = None, 0
    with _opened(path, table) as file:
        for number in range(file.num_row_groups):
            part = _matrix(file.read_row_group(number, [column]).column(column))
            if matrix is None:
                matrix = np.empty((file.metadata.num_rows, part.shape[1]), part.dtype)
            matrix[done : done + len(part)] = part
            done += len(part)
    pa.default_memory_pool().release_unused()  # it would keep what it read with for the next time
    return matrix


def length(path: str | Path) -> int:
    """Rows of a parquet file, whatever table it holds."""
    return pq.read_metadata(path).num_rows


def row_groups(path: str | Path, table: Table) -> list[int]:
    """Rows of each row group of a file."""
    with _opened(path, table) as file:
        return [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]


def read_groups(
    path: str | Path, table: Table, columns: Sequence[str], order: Iterable[int] | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """Columns of one row group after the other, vector columns as matrices.

    Parameters
    ----------
    path : file that `stream` or `write` made
    table : its declared schema
    columns : names
    order : numbers of the row groups; from first to last by default
    """
    with _opened(path, table) as file:
        for number in range(file.num_row_groups) if order is None else order:
            rows = file.read_row_group(int(number), list(columns))
            yield {
                name: _matrix(rows.column(name)) if table.columns[name].is_vector else rows.column(name).to_numpy()
                for name in columns
            }


def _matrix(values: pa.ChunkedArray) -> np.ndarray:
    values = values.combine_chunks()
    return values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), values.type.list_size)


def concat(paths: Iterable[str | Path], table: Table) -> pd.DataFrame:
    """Rows of several files under each other, with the provenance of all."""
    frames = [read(path, table) for path in paths]
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in table.columns})
    provenance = _distinct([entry for frame in frames for entry in frame.attrs.pop("provenance")])
    full = [frame for frame in frames if len(frame)] or frames[:1]
    joined = pd.concat(full, ignore_index=True)
    joined.attrs["provenance"] = provenance
    return joined


def alike(one: str | Path, other: str | Path, table: Table) -> bool:
    """Whether two files hold the same rows of a table, whatever made them; a file that cannot be read is like none."""
    try:
        first, second = _read(one, table, None), _read(other, table, None)
        return first.cast(second.schema).equals(second)  # a column that may hold nulls now has the rows it had
    except ValueError:
        return False


def _read(path: str | Path, table: Table, columns: Sequence[str] | None) -> pa.Table:
    with _opened(path, table) as file:
        return file.read(list(columns) if columns else None)


@contextmanager
def _opened(path: str | Path, table: Table) -> Iterator[pq.ParquetFile]:
    """A parquet file that holds this table, or one that extends it; a damaged file is a ValueError."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            meta = json.loads((file.schema_arrow.metadata or {}).get(META, b"{}"))
            if table.name not in (meta.get("table"), meta.get("extends")):
                raise ValueError(f"{path} holds table '{meta.get('table')}', expected '{table.name}'")
            yield file
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a whole parquet file: {error}") from error
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path} is not a whole parquet file: {error}") from error


def _distinct(entries: list[dict]) -> list[dict]:
    seen: dict[str, dict] = {}
    for entry in entries:
        if entry:
            seen.setdefault(json.dumps(entry, sort_keys=True), entry)
    return list(seen.values())
