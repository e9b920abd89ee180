"""
Configuration, sheets and recipes checked against the closed JSON Schemas in `workflow/schemas`.

Defaults live in the schemas only: `check` returns a copy with them filled in. Whatever is wrong is one sentence that
names the file and the key or row.
"""

import copy
import difflib
import io
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import yaml

from mettle import files

FOLDER = Path(__file__).parents[2] / "schemas"


def check(value: Any, schema: str, where: str) -> Any:
    """A copy of `value` with defaults filled in, valid under a schema.

    Parameters
    ----------
    value : plain data (dict, list, str, numbers)
    schema : `file` or `file/key`: a file of `workflow/schemas` without its ending, and one of its definitions
    where : what is being checked, for the message: a file, or a file and a row

    Raises
    ------
    ValueError
        One sentence with `where`, the key, and what is allowed.
    """
    rules = load(schema)
    filled = _fill(copy.deepcopy(value), rules)
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(rules).iter_errors(filled))
    if error is not None:
        raise ValueError(f"{where}: {_sentence(error)}")
    return filled


@cache
def load(schema: str) -> dict[str, Any]:
    """A schema by `file` or `file/key`."""
    name, _, key = schema.partition("/")
    rules = yaml.safe_load((FOLDER / f"{name}.schema.yaml").read_text())
    if not key:
        return rules
    if key not in rules["$defs"]:
        raise ValueError(f"unknown {rules['title']} '{key}'{suggest(key, rules['$defs'])}")
    return rules["$defs"][key]


def suggest(word: str, known: Any) -> str:
    """`: did you mean 'x'?` or the list of what is known, for the end of a message."""
    known = sorted(map(str, known))
    close = difflib.get_close_matches(str(word), known, n=1)
    if close:
        return f": did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}" if len(known) <= 40 else ""


def read_yaml(path: str | Path) -> Any:
    """Contents of a YAML file; a syntax error names the file and line."""
    try:
        return yaml.safe_load(files.found(path).read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def read_sheet(path: str | Path, schema: str) -> dict[str, dict[str, Any]]:
    """Rows of a tab-separated sheet by the name in their first column, each checked.

    A line that starts with # is a comment; elsewhere in a line the sign is one like any other.
    """
    try:
        text = files.found(path).read_text(encoding="utf-8")
        lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        frame = pd.read_csv(io.StringIO(lines), sep="\t", dtype=str, keep_default_na=False, skipinitialspace=True)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} cannot be read as a tab-separated sheet: {' '.join(str(error).split())}") from error
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes the first cells for an index when all rows are long
        raise ValueError(f"{path} cannot be read as a tab-separated sheet: rows have more cells than the head")
    rules = load(schema)
    rows: dict[str, dict[str, Any]] = {}
    for position, record in enumerate(frame.to_dict("records"), start=2):
        name = record[frame.columns[0]]
        where = f"{path}, row '{name or position}'"
        rows_value = {key: _typed(value, rules["properties"].get(key, {}), key, where) for key, value in record.items()}
        if name in rows:
            raise ValueError(f"{where}: stands twice in the sheet")
        rows[name] = check({key: value for key, value in rows_value.items() if value != ""}, schema, where)
    return rows


def _typed(text: str, rules: dict, key: str, where: str) -> Any:
    """A cell as the type its schema asks for."""
    text = text.strip()
    kind = {"integer": int, "number": lambda cell: float(_number(cell))}.get(rules.get("type"))
    if not text or kind is None:
        return text
    try:
        return kind(text)
    except ValueError as error:
        raise ValueError(f"{where}: '{key}' must be a {rules['type']}, got '{text}'") from error


def _fill(value: Any, rules: dict) -> Any:
    """Defaults for absent keys and numbers for fractions, wherever the schema describes `properties` and `items`."""
    if isinstance(value, list):
        return [_fill(entry, rules.get("items", {})) for entry in value]
    if isinstance(value, str) and "number" in rules.get("type", ""):
        return _number(value)
    if not isinstance(value, dict):
        return value
    value = dict(value)  # blocks that share an anchor in YAML are one object, and may have other defaults
    for key, sub in rules.get("properties", {}).items():
        if key not in value and "default" in sub:
            value[key] = copy.deepcopy(sub["default"])
        if key in value:
            value[key] = _fill(value[key], sub)
    return value


def _number(text: str) -> Any:
    """A fraction such as 4/255 as a number; any other text as it is."""
    try:
        over, under = text.split("/")
        return float(over) / float(under)
    except (ValueError, ZeroDivisionError):
        return text


def _sentence(error: jsonschema.ValidationError) -> str:
    key = ".".join(map(str, error.absolute_path))
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        extra = next(k for k in error.instance if k not in known)
        whole = ".".join(filter(None, [key, str(extra)]))
        if extra in error.schema.get("moved", {}):
            return f"'{whole}' is now '{error.schema['moved'][extra]}': move it there"
        return f"unknown key '{whole}'{suggest(extra, known)}"
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        return f"key '{'.'.join(filter(None, [key, missing]))}' is missing"
    if error.validator == "enum":
        return f"'{key}' is '{error.instance}'{suggest(error.instance, error.validator_value)}"
    rule = {
        "minimum": f"must be at least {error.validator_value}",
        "exclusiveMinimum": f"must be more than {error.validator_value}",
        "maximum": f"must be at most {error.validator_value}",
        "type": f"must be of type {error.validator_value}",
        "pattern": f"may only hold letters, digits, and what {error.validator_value} allows",
        "propertyNames": "has a name that is not allowed",
        "uniqueItems": "may hold nothing twice",
        "minItems": f"needs at least {error.validator_value} {'entry' if error.validator_value == 1 else 'entries'}",
    }.get(error.validator, error.message)
    return f"'{key}' {rule}, got {error.instance!r}" + error.schema.get("hint", "").format(error.instance)
