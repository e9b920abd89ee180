"""Reading and writing of tables: the only module that touches parquet."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mettle.tables.declared import VECTOR, Column, Table

_META = b"mettle"

Rows = pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]]


def write(path: str | Path, table: Table, rows: Rows, provenance: Mapping[str, Any] | None = None) -> None:
    """Write rows as one parquet file, under a temporary name that is renamed at the end.

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
    data = _columns(table, rows, path)
    fields, arrays = [], []
    for name, column in table.columns.items():
        array = _array(data[name], column, f"{path}: column '{name}' of table '{table.name}'")
        meta = {"description": column.text, "unit": column.unit}
        fields.append(pa.field(name, array.type, nullable=column.nullable, metadata=meta))
        arrays.append(array)
    meta = {"table": table.name, "made_by": dict(provenance or {}), "sources": sources}
    schema = pa.schema(fields, metadata={_META: json.dumps(meta, sort_keys=True).encode()})
    _replace(Path(path), lambda tmp: pq.write_table(pa.Table.from_arrays(arrays, schema=schema), tmp))


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
    meta = json.loads(arrow.schema.metadata[_META])
    frame.attrs["provenance"] = _distinct([*meta["sources"], meta["made_by"]])
    return frame


def vectors(path: str | Path, table: Table, column: str) -> np.ndarray:
    """A vector column as a float32 matrix of shape (rows, width)."""
    values = _read(path, table, [column]).column(column).combine_chunks()
    width = values.type.list_size
    return values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), width)


def concat(paths: Iterable[str | Path], table: Table) -> pd.DataFrame:
    """Rows of several files under each other, with the provenance of all."""
    frames = [read(path, table) for path in paths]
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in table.columns})
    provenance = _distinct([entry for frame in frames for entry in frame.attrs.pop("provenance")])
    full = [frame for frame in frames if len(frame)] or frames[:1]
    whole = pd.concat(full, ignore_index=True)
    whole.attrs["provenance"] = provenance
    return whole


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
    _replace(Path(path), lambda tmp: tmp.write_text(html, encoding="utf-8"))


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
    if column.type == VECTOR:
        return _vector_array(values, where)
    values = [None if value is pd.NA else value for value in values]
    try:
        array = pa.array(values, type=column.type, from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise ValueError(f"{where} needs {column.type}: {error}") from error
    if column.type == pa.int64() and array.to_pylist() != values:  # pyarrow cuts off what follows the point
        raise ValueError(f"{where} needs {column.type}: some values are not whole numbers")
    if column.type == pa.float64() and (nans := sum(value is not None and np.isnan(value) for value in values)):
        raise ValueError(f"{where} holds {nans} NaN; write None and say why in `note`")
    if array.null_count and not column.nullable:
        raise ValueError(f"{where} holds {array.null_count} nulls and may hold none")
    return array


def _vector_array(values: Any, where: str) -> pa.Array:
    matrix = np.ascontiguousarray(values, dtype=np.float32)
    if matrix.ndim != 2:
        raise ValueError(f"{where} needs a matrix with one row per image, got shape {matrix.shape}")
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])


def _read(path: str | Path, table: Table, columns: Sequence[str] | None) -> pa.Table:
    try:
        arrow = pq.read_table(path, columns=list(columns) if columns else None, partitioning=None)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a whole parquet file: {error}") from error
    meta = json.loads((arrow.schema.metadata or {}).get(_META, b"{}"))
    if meta.get("table") != table.name:
        raise ValueError(f"{path} holds table '{meta.get('table')}', expected '{table.name}'")
    return arrow


def _replace(path: Path, write_to: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_to(tmp)
        tmp.replace(path)
    finally:
        tmp.unlink(missing_ok=True)


def _distinct(entries: list[dict]) -> list[dict]:
    seen: dict[str, dict] = {}
    for entry in entries:
        if entry:
            seen.setdefault(json.dumps(entry, sort_keys=True), entry)
    return list(seen.values())
