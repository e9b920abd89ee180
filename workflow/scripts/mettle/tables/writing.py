"""Writing of tables: checked against their declaration, and atomic."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mettle.files import atomic
from mettle.tables.columns import META, Column, Table

Rows = pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]]


def write(path: str | Path, table: Table, rows: Rows, provenance: Mapping[str, Any] | None = None) -> None:
    """Write rows as one parquet file, atomically.

    Parameters
    ----------
    path : path of the file; its folder is made
    table : the declared schema
    rows : data frame, mapping of column to values (2-d arrays for vector columns), or list of mappings
    provenance : what made the rows; `flow.job` gives it

    Raises
    ------
    ValueError
        If a column is missing, unknown, of another type, NaN, or null where the table does not allow it.
    """
    sources = rows.attrs.get("provenance", []) if isinstance(rows, pd.DataFrame) else []
    content = _arrow(path, table, rows, {"made_by": dict(provenance or {}), "sources": sources})
    with atomic(path) as tmp:
        pq.write_table(content, tmp, **_options(table))


def stream(
    path: str | Path,
    table: Table,
    parts: Iterable[Mapping[str, Any]],
    provenance: Mapping[str, Any] | None = None,
    group: int = 2048,
) -> int:
    """Write rows that come in parts, with no more than a row group in memory.

    Parameters
    ----------
    path, table, provenance : as of `write`
    parts : mappings of column to values, whose rows follow each other
    group : rows per row group, at least

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    ValueError
        As `write`; or if there are no rows, or vectors of different parts differ in width.
    """
    made = {"made_by": dict(provenance or {}), "sources": []}
    done = 0

    with atomic(path) as tmp:
        writer = None
        try:
            for rows in _grouped((_arrow(path, table, part, made) for part in parts), group):
                writer = writer or pq.ParquetWriter(tmp, rows.schema, **_options(table))
                if rows.schema != writer.schema:
                    raise ValueError(f"{path}: vectors of table '{table.name}' differ in width from part to part")
                writer.write_table(rows, row_group_size=len(rows))
                done += len(rows)
        finally:
            if writer:
                writer.close()
        if not done:
            raise ValueError(f"{path}: there are no rows for table '{table.name}'")
    return done


def _options(table: Table) -> dict[str, Any]:
    """Checksums of all pages; dictionaries for columns with repeated values, so not for vectors."""
    plain = [name for name, column in table.columns.items() if not column.is_vector]
    return {"write_page_checksum": True, "use_dictionary": plain}


def _grouped(parts: Iterable[pa.Table], group: int) -> Iterator[pa.Table]:
    """The parts, joined into row groups."""
    held: list[pa.Table] = []
    for part in parts:
        if held and part.schema != held[0].schema:
            yield pa.concat_tables(held)
            held = []
        held.append(part)
        if sum(map(len, held)) >= group:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def _arrow(path: str | Path, table: Table, rows: Rows, about: Mapping[str, Any]) -> pa.Table:
    """Rows as an arrow table with the metadata of columns and file."""
    data = _columns(table, rows, path)
    fields, arrays = [], []
    for name, column in table.columns.items():
        array = _array(data[name], column, f"{path}: column '{name}' of table '{table.name}'")
        meta = {"description": column.text, "unit": column.unit}
        fields.append(pa.field(name, array.type, nullable=column.nullable, metadata=meta))
        arrays.append(array)
    meta = {"table": table.name, "extends": table.extends, **about}
    schema = pa.schema(fields, metadata={META: json.dumps(meta, sort_keys=True).encode()})
    return pa.Table.from_arrays(arrays, schema=schema)


def _columns(table: Table, rows: Rows, path: str | Path) -> Mapping[str, Any]:
    if isinstance(rows, Mapping | pd.DataFrame):
        data, names = rows, list(rows)
    else:
        names = list(dict.fromkeys(name for row in rows for name in row)) or list(table.columns)
        short = [name for name in names for row in rows if name not in row]
        if short:
            raise ValueError(f"{path}: some rows of table '{table.name}' lack columns {sorted(set(short))}")
        data = {name: [row[name] for row in rows] for name in names}
    missing = [name for name in table.columns if name not in names]
    extra = [name for name in names if name not in table.columns]
    if missing or extra:
        raise ValueError(f"{path}: table '{table.name}' is missing columns {missing} and does not know {extra}")
    return data


def _array(values: Any, column: Column, where: str) -> pa.Array:
    if column.is_vector:
        return _vector_array(values, column, where)
    values = [None if value is pd.NA else value for value in values]
    try:
        array = pa.array(values, type=column.type, from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise ValueError(f"{where} needs {column.type}: {error}") from error
    if column.type == pa.int64() and array.to_pylist() != values:  # pyarrow truncates to integers
        raise ValueError(f"{where} needs {column.type}: some values are not integers")
    if column.type == pa.float64() and (nans := sum(value is not None and np.isnan(value) for value in values)):
        raise ValueError(f"{where} holds {nans} NaN; write None and say why in `note`")
    if array.null_count and not column.nullable:
        raise ValueError(f"{where} holds {array.null_count} nulls, which it must not")
    return array


def _vector_array(values: Any, column: Column, where: str) -> pa.Array:
    matrix = np.ascontiguousarray(values, dtype=column.type.value_type.to_pandas_dtype())
    if matrix.ndim != 2:
        raise ValueError(f"{where} needs a matrix with one row per image, got shape {matrix.shape}")
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])
