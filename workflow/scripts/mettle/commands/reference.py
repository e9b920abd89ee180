"""`make reference`: numbers of real networks beside those that they gave before, with a tolerance for each.

The exit status is 1 if one of them differs, or is missing.
"""

import argparse
import math
import sys
from pathlib import Path

import pandas as pd

from mettle import tables
from mettle.plan.figures import FIGURES

# Columns of the sheet that say which row of a table is meant; empty cells say nothing.
_KEYS = ("dataset", "model", "model_b", "attack", "through", "corruption", "measure", "statistic")


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="python -m mettle.commands.reference")
    parser.add_argument("results", type=Path, help="folder of the results, with tables in it")
    parser.add_argument("expected", type=Path, help="sheet of expected values")
    options = parser.parse_args()
    found = compared(options.results, options.expected)
    print(found.to_string(index=False, na_rep=""))
    wrong = found[found["verdict"] != "as before"]
    print(f"{len(found) - len(wrong)} of {len(found)} numbers are as before")
    sys.exit(1 if len(wrong) else None)


def compared(results: Path, expected: Path) -> pd.DataFrame:
    """Every expected value with the one that was found, and a verdict.

    Parameters
    ----------
    results : folder of results, `tables` in it
    expected : sheet with the columns table, value, tolerance, and keys of the rows

    Raises
    ------
    ValueError
        If a table is missing, or a row of the sheet does not fit one row of its table.
    """
    sheet = pd.read_csv(expected, sep="\t", comment="#", dtype=str, keep_default_na=False)
    read = {name: _read(results / "tables" / f"{name}.parquet", name) for name in sheet["table"].unique()}
    values = [_value(read[row["table"]], row, expected) for row in sheet.to_dict("records")]
    told = sheet[["table", *[key for key in _KEYS if (sheet[key] != "").any()]]].copy()
    told["expected"], told["found"] = sheet["value"].astype(float), values
    near = [
        math.isclose(value, float(row["value"]), rel_tol=0, abs_tol=float(row["tolerance"]) + 1e-12)
        for value, row in zip(values, sheet.to_dict("records"), strict=True)
    ]
    told["tolerance"] = sheet["tolerance"].astype(float)
    told["verdict"] = ["as before" if one else "DIFFERS" for one in near]
    return told


def _read(path: Path, name: str) -> pd.DataFrame:
    if not path.exists():
        raise ValueError(f"{path} does not exist: `make reference` makes it first")
    return tables.read(path, FIGURES[name].table)


def _value(table: pd.DataFrame, row: dict[str, str], expected: Path) -> float:
    """The value of the one row that fits; NaN for null."""
    keys = {key: row[key] for key in _KEYS if row[key]}
    fits = table
    for key, cell in keys.items():
        fits = fits[fits[key] == cell]
    if "severity" in table:
        fits = fits[fits["severity"].isna()]
    if len(fits) != 1:
        words = ", ".join(f"{key} {cell}" for key, cell in keys.items())
        raise ValueError(f"{expected}: {len(fits)} rows of table {row['table']} have {words}, not one")
    value = fits["value"].iloc[0]
    return float("nan") if pd.isna(value) else float(value)


if __name__ == "__main__":
    main()
