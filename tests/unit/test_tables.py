"""Tables: what is written is what is read, and nothing that does not fit the declared schema gets into a file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mettle import tables
from mettle.plan.figures import FIGURES

ROOT = Path(__file__).parents[2]
MADE_BY = {"rule": "compare", "revision": 1, "versions": {"numpy": "2"}}
TABLES = [*tables.CELLS, *(about.table for about in FIGURES.values())]
NAMES = [table.name for table in TABLES]
BOX = {"label": 1, "x0": 0, "y0": 1, "x1": 5, "y1": 6, "depth": 0, "mask": b"png"}


def value(name, column, row):
    """Some value of a column; every other row of a nullable one is null."""
    if column.nullable and row % 2:
        return None
    if column.ragged:
        return list(range(row))
    kinds = {pa.string(): f"{name}{row}", pa.int64(): row, pa.float64(): row + 0.1, tables.VECTOR: [row, 0.5, -1e-8]}
    kinds[tables.CLASSES] = [row, 3]
    kinds |= {pa.bool_(): row % 3 == 0, pa.binary(): bytes([row])}
    return kinds.get(column.type, [BOX])


def sample(table, n=4):
    return {name: [value(name, column, row) for row in range(n)] for name, column in table.columns.items()}


def plain(frame):
    """Rows as Python values, null as None, arrays as lists."""

    def simple(cell):
        if isinstance(cell, np.ndarray):
            return [simple(part) for part in cell.tolist()]
        return None if cell is None or cell is pd.NA else cell

    return {name: [simple(cell) for cell in frame[name]] for name in frame.columns}


def compare_rows(count=2, **changes):
    columns = sample(tables.COMPARE, count)
    return [{name: cells[row] for name, cells in columns.items()} | changes for row in range(count)]


# What tables are


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_keys_come_first_and_in_the_shared_order(table):
    names = list(table.columns)
    found = [name for name in names if name in tables.KEYS]
    assert found == [name for name in tables.KEYS if name in names]
    if table is not tables.EPOCHS:  # rows of training: the epoch is a count of its own
        assert names[: len(found)] == found
    result = [name for name in names if name in tables.RESULT]
    if "value" in result:
        assert result == list(tables.RESULT)


def test_keys_gives_the_shared_order_whatever_it_is_asked_in():
    assert list(tables.keys("id", "eps", "model", "dataset")) == ["dataset", "model", "eps", "id"]


def test_every_column_is_described():
    for table in TABLES:
        assert table.text.endswith(".")
        assert all(column.text for column in table.columns.values()), table.name


def test_the_page_of_tables_is_up_to_date():
    command = [sys.executable, str(ROOT / "docs" / "make_tables.py"), "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


# Round trip


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_what_is_written_is_read(table, tmp_path):
    path, rows = tmp_path / "deep" / "t.parquet", sample(table)
    tables.write(path, table, rows, MADE_BY)
    frame = tables.read(path, table)
    assert list(frame.columns) == list(table.columns)
    single = [name for name, column in table.columns.items() if column.type == tables.VECTOR]
    expected = rows | {name: [line and np.float32(line).tolist() for line in rows[name]] for name in single}
    assert plain(frame) == expected


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_a_table_without_rows_can_be_written_unless_it_has_vectors(table, tmp_path):
    if vector := next((name for name, column in table.columns.items() if column.is_vector), None):
        with pytest.raises(ValueError, match=rf"column '{vector}' of table '{table.name}' needs a matrix .* \(0,\)"):
            tables.write(tmp_path / "t.parquet", table, sample(table, 0))
        return
    tables.write(tmp_path / "t.parquet", table, [])
    assert len(tables.read(tmp_path / "t.parquet", table)) == 0


def test_frames_mappings_and_lists_of_rows_give_the_same_file(tmp_path):
    rows = compare_rows(4)
    frame = pd.DataFrame(rows, dtype=object)
    columns = {name: frame[name].tolist() for name in frame.columns}
    for name, form in (("a", rows), ("b", frame), ("c", columns)):
        tables.write(tmp_path / name, tables.COMPARE, form)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_vectors_come_as_a_matrix(tmp_path):
    path = tmp_path / "t.parquet"
    matrix = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    tables.write(path, tables.REPRESENT, sample(tables.REPRESENT) | {"features": matrix})
    found = tables.vectors(path, tables.REPRESENT, "features")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, matrix)
    assert pq.read_schema(path).field("features").type == pa.list_(pa.float32(), 6)


def test_chosen_columns_are_read_alone(tmp_path):
    tables.write(tmp_path / "t", tables.REPRESENT, sample(tables.REPRESENT))
    assert list(tables.read(tmp_path / "t", tables.REPRESENT, ["id", "model"]).columns) == ["id", "model"]


def test_descriptions_and_units_are_in_the_file(tmp_path):
    tables.write(tmp_path / "t", tables.ATTACK, sample(tables.ATTACK))
    meta = pq.read_schema(tmp_path / "t").field("clean_loss").metadata
    assert meta[b"unit"] == b"nats" and meta[b"description"] == b"cross-entropy of the clean image"


# Nulls


def test_null_stays_null_through_read_concat_and_write(tmp_path):
    first, second, both = (tmp_path / name for name in "abc")
    tables.write(first, tables.COMPARE, compare_rows(2, value=None, lo=None, hi=None, norm=None, note="too few"))
    tables.write(second, tables.COMPARE, compare_rows(1, value=0.5, note=None))
    tables.write(both, tables.COMPARE, tables.concat([first, second], tables.COMPARE))
    column = pq.read_table(both).column("value")
    assert column.to_pylist() == [None, None, 0.5] and column.null_count == 2
    frame = tables.read(both, tables.COMPARE)
    assert frame["value"].isna().tolist() == [True, True, False]
    assert pq.read_table(both).column("note").to_pylist() == ["too few", "too few", None]


def test_a_column_of_nulls_only_stays_null(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        tables.write(
            path, tables.COMPARE, compare_rows(1, value=None, lo=None, hi=None, eps=None, norm=None, note=None)
        )
    tables.write(tmp_path / "c", tables.COMPARE, tables.concat(paths, tables.COMPARE))
    assert pq.read_table(tmp_path / "c").column("value").to_pylist() == [None, None]


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": float("nan")}, r"column 'value' of table 'compare' holds 2 NaN; write None and say why in `note`$"),
        ({"value": np.float64("nan")}, r"column 'value' of table 'compare' holds 2 NaN"),
        ({"model": None}, r"column 'model' of table 'compare' holds 2 nulls, which it must not$"),
        ({"n": None}, r"column 'n' of table 'compare' holds 2 nulls, which it must not$"),
        ({"n": "many"}, r"column 'n' of table 'compare' needs int64: "),
        ({"n": 1.5}, r"column 'n' of table 'compare' needs int64: "),
        ({"n": 2**70}, r"column 'n' of table 'compare' needs int64: "),
        ({"model": 3}, r"column 'model' of table 'compare' needs string: "),
        ({"value": "high"}, r"column 'value' of table 'compare' needs double: "),
        ({"valeu": 1.0}, r"table 'compare' is missing columns \[\] and does not know \['valeu'\]$"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=r"t\.parquet: " + message):
        tables.write(tmp_path / "t.parquet", tables.COMPARE, compare_rows(2, **changes))
    assert list(tmp_path.iterdir()) == []


def test_missing_columns_are_named(tmp_path):
    rows = compare_rows()
    short = [{key: cell for key, cell in row.items() if key not in ("lo", "note")} for row in rows]
    message = r"t: table 'compare' is missing columns \['lo', 'note'\] and does not know \[\]$"
    for form in (short, pd.DataFrame(short)):
        with pytest.raises(ValueError, match=message):
            tables.write(tmp_path / "t", tables.COMPARE, form)
    with pytest.raises(ValueError, match=r"t: some rows of table 'compare' lack columns \['lo', 'note'\]$"):
        tables.write(tmp_path / "t", tables.COMPARE, [rows[0], short[1]])


def test_columns_of_unequal_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"length|shape"):
        tables.write(tmp_path / "t", tables.COMPARE, sample(tables.COMPARE) | {"n": [1]})
    assert list(tmp_path.iterdir()) == []


def test_vectors_of_unequal_width_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"inhomogeneous|needs a matrix"):
        tables.write(tmp_path / "t", tables.REPRESENT, sample(tables.REPRESENT, 2) | {"logits": [[1.0], [1.0, 2.0]]})
    with pytest.raises(ValueError, match=r"column 'logits' of table 'represent' needs a matrix .* got shape \(2,\)$"):
        tables.write(tmp_path / "t", tables.REPRESENT, sample(tables.REPRESENT, 2) | {"logits": [1.0, 2.0]})


# Provenance


def test_what_made_the_rows_survives_read_concat_and_write(tmp_path):
    first, second, third, both, again = (tmp_path / name for name in "abcde")
    other = MADE_BY | {"revision": 2}
    tables.write(first, tables.COMPARE, compare_rows(), MADE_BY)
    tables.write(second, tables.COMPARE, compare_rows(), other)
    tables.write(third, tables.COMPARE, compare_rows(), other)
    assert tables.read(first, tables.COMPARE).attrs["provenance"] == [MADE_BY]
    frame = tables.concat([first, second, third], tables.COMPARE)
    assert frame.attrs["provenance"] == [MADE_BY, other]
    tables.write(both, tables.COMPARE, frame, {"rule": "tabulate"})
    expected = [MADE_BY, other, {"rule": "tabulate"}]
    assert tables.read(both, tables.COMPARE).attrs["provenance"] == expected
    tables.write(again, tables.COMPARE, tables.read(both, tables.COMPARE))
    assert tables.read(again, tables.COMPARE).attrs["provenance"] == expected


def test_concat_of_nothing_has_the_columns(tmp_path):
    assert list(tables.concat([], tables.COMPARE).columns) == list(tables.COMPARE.columns)


def test_concat_puts_rows_under_each_other(tmp_path):
    tables.write(tmp_path / "a", tables.COMPARE, compare_rows(2, note="a"))
    tables.write(tmp_path / "b", tables.COMPARE, [])
    tables.write(tmp_path / "c", tables.COMPARE, compare_rows(1, note="c"))
    frame = tables.concat([tmp_path / "a", tmp_path / "b", tmp_path / "c"], tables.COMPARE)
    assert frame["note"].tolist() == ["a", "a", "c"] and frame.index.tolist() == [0, 1, 2]


# Files


def test_other_files_are_told_apart(tmp_path):
    path = tmp_path / "t.parquet"
    tables.write(path, tables.COMPARE, compare_rows())
    with pytest.raises(ValueError, match=r"t\.parquet holds table 'compare', expected 'subgroups'$"):
        tables.read(path, tables.SUBGROUPS)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(ValueError, match=r"t\.parquet holds table 'None', expected 'compare'$"):
        tables.read(path, tables.COMPARE)


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_truncated_file_is_named(tmp_path, keep):
    path = tmp_path / "t.parquet"
    tables.write(path, tables.COMPARE, compare_rows())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"t\.parquet is not a complete parquet file: "):
        tables.read(path, tables.COMPARE)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.parquet"):
        tables.read(tmp_path / "none.parquet", tables.COMPARE)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    tables.write(path, tables.COMPARE, compare_rows())
    before = path.read_bytes()

    def fail(table, where, **options):
        Path(where).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(tables.writing.pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        tables.write(path, tables.COMPARE, compare_rows(1))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_leaves_only_the_file(tmp_path):
    tables.write(tmp_path / "t.parquet", tables.COMPARE, compare_rows())
    tables.write(tmp_path / "t.parquet", tables.COMPARE, compare_rows(1))
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
    assert len(tables.read(tmp_path / "t.parquet", tables.COMPARE)) == 1


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name in "ab":
        tables.write(tmp_path / name, tables.COMPARE, compare_rows(), MADE_BY)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_page_shows_values_hints_and_nothing_empty(tmp_path):
    frame = pd.DataFrame(
        {"model": ["a<b", "c"], "n": [12, 1281167], "value": pd.array([0.123456, None], "Float64"), "lo": [None, None]}
    )
    made_by = {"rule": "tabulate_figure", "revision": 3, "versions": {"numpy": "2.2.6"}}
    tables.page(tmp_path / "page.html", FIGURES["accuracy"].table, frame, made_by, "One of `two` & more.")
    html = (tmp_path / "page.html").read_text()
    assert FIGURES["accuracy"].table.text in html
    assert "<td>a&lt;b</td>" in html
    assert '<td class="n">0.1235</td>' in html and '<td class="n">1281167</td>' in html and "<td></td>" in html
    assert f'<th title="{tables.RESULT["value"].text}">value</th>' in html
    assert ">lo<" not in html
    assert "<p>One of <code>two</code> &amp; more.</p>" in html
    assert "<dt>rule</dt><dd>tabulate_figure</dd><dt>revision</dt><dd>3</dd>" in html and "2.2.6" in html
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
