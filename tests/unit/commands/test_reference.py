"""`make reference`: a number that differs, is missing or is null is said, and ends the command with 1."""

import subprocess
import sys

import pytest

from imports import ROOT
from mettle import tables
from mettle.commands.reference import compared
from mettle.plan.figures import FIGURES


@pytest.fixture
def results(tmp_path):
    (tmp_path / "tables").mkdir()
    table = FIGURES["accuracy"].table
    same = {"dataset": "ten", "split": "test", "eps": 0.0, "measure": "accuracy", "n": 20}
    cells = [("a", "clean", 0.9), ("a", "pgd", 0.05), ("b", "clean", None)]
    rows = [same | {"model": model, "attack": attack, "value": value} for model, attack, value in cells]
    rows = [dict.fromkeys(table.columns) | row | {"note": "none" if row["value"] is None else None} for row in rows]
    tables.write(tmp_path / "tables" / "accuracy.parquet", table, rows)
    return tmp_path


def sheet(folder, *rows):
    columns = ["table", "dataset", "model", "model_b", "attack", "through", "corruption", "measure", "statistic"]
    lines = ["\t".join([*columns, "value", "tolerance"])]
    for table, model, attack, value, tolerance in rows:
        cells = dict.fromkeys(columns, "") | {"table": table, "model": model, "attack": attack}
        lines.append("\t".join([*cells.values(), value, tolerance]))
    path = folder / "expected.tsv"
    path.write_text("# measured\n" + "\n".join(lines) + "\n")
    return path


def test_numbers_within_their_tolerance_are_as_before(results):
    found = compared(
        results, sheet(results, ("accuracy", "a", "clean", "0.85", "0.05"), ("accuracy", "a", "pgd", "0", "0.04"))
    )
    assert found["verdict"].tolist() == ["as before", "DIFFERS"] and found["found"].tolist() == [0.9, 0.05]


def test_null_differs_from_every_number(results):
    assert compared(results, sheet(results, ("accuracy", "b", "clean", "0", "1")))["verdict"].tolist() == ["DIFFERS"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("accuracy", "a", "", "1", "0"), r"expected\.tsv: 2 rows of table accuracy have model a, not one$"),
        (
            ("accuracy", "c", "clean", "1", "0"),
            r"expected\.tsv: 0 rows of table accuracy have model c, attack clean, n",
        ),
        (("other", "a", "clean", "1", "0"), r"other\.parquet does not exist: `make reference` makes it first$"),
    ],
)
def test_a_row_that_fits_no_row_of_its_table_is_refused(results, row, message):
    with pytest.raises(ValueError, match=message):
        compared(results, sheet(results, row))


def test_the_command_ends_with_one_where_a_number_differs(results):
    def run(value):
        path = sheet(results, ("accuracy", "a", "clean", value, "0.01"))
        command = [sys.executable, "-m", "mettle.commands.reference", str(results), str(path)]
        env = {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=env)

    good, bad = run("0.9"), run("0.8")
    assert (good.returncode, good.stderr) == (0, "") and good.stdout.endswith("1 of 1 numbers are as before\n")
    assert bad.returncode == 1 and "DIFFERS" in bad.stdout and bad.stdout.endswith("0 of 1 numbers are as before\n")
