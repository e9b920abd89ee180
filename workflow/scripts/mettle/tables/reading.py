"""Reading of tables, all at once or by row group; a file that is damaged or has another table is rejected."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mettle.tables.columns import META, Table

_NUMBERS = {pa.float64(): "Float64", pa.int64(): "Int64"}


def read(path: str | Path, table: Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Rows of a file from `write`, checked against the declared schema.

    Vector columns hold one array per row; `vectors` gives them as a matrix. `frame.attrs["provenance"]` is a list with
    one entry per source.

    Raises
    ------
    ValueError
        If the file is not a parquet file, or has another table.
    """
    arrow = _read(path, table, columns)
    frame = arrow.to_pandas()
    for name in frame.columns:  # keeps null, which pandas' plain floats would turn into NaN
        if table.columns[name].nullable and table.columns[name].type in _NUMBERS:
            frame[name] = frame[name].astype(_NUMBERS[table.columns[name].type])
    meta = json.loads(arrow.schema.metadata[META])
    frame.attrs["provenance"] = _distinct([*meta["sources"], meta["made_by"]])
    return frame


def vectors(path: str | Path, table: Table, column: str) -> np.ndarray:
    """A vector column as a matrix of shape (rows, width), read by row group to save memory."""
    matrix, done = None, 0
    with _opened(path, table) as file:
        for number in range(file.num_row_groups):
            part = _matrix(file.read_row_group(number, [column]).column(column))
            if matrix is None:
                matrix = np.empty((file.metadata.num_rows, part.shape[1]), part.dtype)
            matrix[done : done + len(part)] = part
            done += len(part)
    pa.default_memory_pool().release_unused()  # it would keep its buffers for the next read
    return matrix


def length(path: str | Path) -> int:
    """Number of rows of a parquet file of any table."""
    return pq.read_metadata(path).num_rows


def row_groups(path: str | Path, table: Table) -> list[int]:
    """Number of rows of each row group of a file."""
    with _opened(path, table) as file:
        return [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]


def read_groups(
    path: str | Path, table: Table, columns: Sequence[str], order: Iterable[int] | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """Columns by row group, vector columns as matrices.

    Parameters
    ----------
    path : file from `stream` or `write`
    table : its declared schema
    columns : names
    order : numbers of the row groups; all in order by default
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


def concat(paths: Iterable[str | Path], *tables: Table) -> pd.DataFrame:
    """Rows of several files, concatenated, with the provenance of all.

    With several tables a file may be of any of them, and columns of the others are null in its rows.
    """
    frames = [read(path, _table_of(path, tables)) for path in paths]
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=object) for table in tables for name in table.columns})
    provenance = _distinct([entry for frame in frames for entry in frame.attrs.pop("provenance")])
    full = [frame for frame in frames if len(frame)] or frames[:1]
    joined = pd.concat(full, ignore_index=True)
    joined.attrs["provenance"] = provenance
    return joined


def _table_of(path: str | Path, tables: Sequence[Table]) -> Table:
    """Which of some tables a file has; the first if none, so that reading it says what is wrong."""
    for table in tables[1:]:
        with suppress(ValueError), _opened(path, table):
            return table
    return tables[0]


def alike(one: str | Path, other: str | Path, table: Table) -> bool:
    """Whether two files have the same rows of a table, whatever their provenance; False if one cannot be read."""
    try:
        first, second = _read(one, table, None), _read(other, table, None)
        return first.cast(second.schema).equals(second)  # a column that became nullable has the same rows
    except ValueError:
        return False


def _read(path: str | Path, table: Table, columns: Sequence[str] | None) -> pa.Table:
    with _opened(path, table) as file:
        return file.read(list(columns) if columns else None)


@contextmanager
def _opened(path: str | Path, table: Table) -> Iterator[pq.ParquetFile]:
    """A parquet file with this table, or one that extends it; ValueError for a damaged or another one."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            meta = json.loads((file.schema_arrow.metadata or {}).get(META, b"{}"))
            if table.name not in (meta.get("table"), meta.get("extends")):
                raise ValueError(f"{path} holds table '{meta.get('table')}', expected '{table.name}'")
            yield file
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a complete parquet file: {error}") from error
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path} is not a complete parquet file: {error}") from error


def _distinct(entries: list[dict]) -> list[dict]:
    seen: dict[str, dict] = {}
    for entry in entries:
        if entry:
            seen.setdefault(json.dumps(entry, sort_keys=True), entry)
    return list(seen.values())
