"""
Configuration, sheets and recipes checked against the closed JSON Schemas in `workflow/schemas`.

Defaults live in the schemas only: `check` returns a copy with them filled in. An error is one sentence that names the
file and the key or row.
"""

import copy
import difflib
import json
import math
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from mettle import text

FOLDER = Path(__file__).parents[2] / "schemas"
# The C loader is ten times as fast, and two Snakemake processes read all recipes at the start of every job.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TYPES = {  # in words
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a block of keys",
    "null": "null",
}
_RULES = {
    "minimum": "must be at least {}",
    "exclusiveMinimum": "must be more than {}",
    "maximum": "must be at most {}",
    "exclusiveMaximum": "must be less than {}",
    "const": "must be {}",
    "uniqueItems": "has an entry that appears twice",
    "minItems": "needs at least {} entries",
    "maxItems": "takes at most {} entries",
    "minProperties": "needs at least {} keys",
}
_INTEGER = re.compile("[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_VALIDATOR = jsonschema.validators.extend(  # infinity and NaN are no numbers here: no bound excludes NaN
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "number",
        lambda _, value: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
    ),
)


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
    found = filled(value, schema)
    error = jsonschema.exceptions.best_match(_VALIDATOR(load(schema)).iter_errors(found))
    if error is not None:
        raise ValueError(f"{where}: {_sentence(error)}")
    return found


def filled(value: Any, schema: str) -> Any:
    """A copy of plain data with defaults filled in, valid or not."""
    return _fill(copy.deepcopy(value), load(schema))


@cache
def load(schema: str) -> dict[str, Any]:
    """A schema by `file` or `file/key`; a property that only refers to another file holds what is in it."""
    name, _, key = schema.partition("/")
    if not key:
        found = LOADER((FOLDER / f"{name}.schema.yaml").read_text()).get_single_data()
        parts = found.get("properties", {})
        return found | {"properties": {key: _referred(part) for key, part in parts.items()}} if parts else found
    rules = load(name)
    if key not in rules["$defs"]:
        raise ValueError(f"unknown {rules['title']} '{key}'{suggest(key, rules['$defs'])}")
    return rules["$defs"][key]


def names(of: str) -> list[str]:
    """Names that a schema declares: definitions of `file`, or values of `file.key` that are known beforehand."""
    file, *keys = of.split(".")
    rules = load(file)
    if not keys:
        return list(rules["$defs"])
    for key in keys:
        rules = rules["properties"][key]
    rules = rules.get("items", rules)
    return [name for name in rules.get("known") or rules["enum"] if name]


def check_registry(of: str, registry: Collection[str]) -> None:
    """Raise ValueError unless a registry has an entry for every name that a schema declares, and for no other.

    Parameters
    ----------
    of : as in `names`
    registry : the names that are implemented
    """
    declared, where = names(of), f"workflow/schemas/{of.partition('.')[0]}.schema.yaml"
    for name in declared:
        if name not in registry:
            raise ValueError(f"{where} declares '{name}' for `{of}`, but nothing implements it: add its entry")
    for name in registry:
        if name not in declared:
            raise ValueError(f"'{name}' is implemented, but not declared for `{of}`: add it to {where}")


def _referred(part: dict[str, Any]) -> dict[str, Any]:
    return load(part["$ref"].removesuffix(".schema.yaml")) if "$ref" in part else part


def suggest(word: str, known: Any) -> str:
    """`: did you mean 'x'?` or the list of what is known, for the end of a message."""
    known = sorted(map(str, known))
    close = difflib.get_close_matches(str(word), known, n=1)
    if close:
        return f": did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}" if len(known) <= 40 else ""


def read_yaml(path: str | Path) -> Any:
    """Contents of a YAML file; a syntax error, or a key that appears twice in a block, names the file and line."""
    try:
        loader = LOADER(text.read(path))
        node = loader.get_single_node()
        _check_keys(node, path)
        return (loader.construct_document(node) if node else None) or {}
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def read_sheet(path: str | Path, schema: str) -> dict[str, dict[str, Any]]:
    """Rows of a tab-separated sheet by name, each checked; the name is the first column that the schema requires.

    Understood, as spreadsheets and editors write them: UTF-8 or UTF-16, any line ends, blanks around cells (also
    no-break ones), quotation marks around cells, missing or additional empty cells at the end, blank lines. A line
    that starts with # is a comment; elsewhere in a line # has no meaning.

    Raises
    ------
    ValueError
        If a line cannot be read as a row; the message has the file and the line.
    """
    rules = load(schema)
    key = rules["required"][0]
    try:
        (number, head), *lines = text.lines(path) or [(1, [""])]
    except OSError as error:
        raise ValueError(f"{path} cannot be read as a tab-separated sheet: {' '.join(str(error).split())}") from error
    columns = _columns(head, rules, f"{path}, line {number}")
    rows: dict[str, dict[str, Any]] = {}
    first: dict[str, int] = {}
    for number, cells in lines:
        row = _row(columns, cells, rules, f"{path}, line {number}")
        where = f"{path}, line {number}, row '{row.get(key, '')}'"
        if empty := [name for name in rules["required"] if name not in row]:
            raise ValueError(f"{where}: column '{empty[0]}' is empty")
        if row[key] in rows:
            raise ValueError(f"{where}: appears twice in the sheet, first in line {first[row[key]]}")
        rows[row[key]], first[row[key]] = check(row, schema, where), number
    return rows


def _check_keys(node: yaml.Node | None, path: str | Path) -> None:
    """Raise ValueError for a key that appears twice in a block: YAML would take the last."""
    if not isinstance(node, yaml.CollectionNode):
        return
    seen = set()
    for part in node.value:
        key, value = part if isinstance(node, yaml.MappingNode) else (None, part)
        if key is not None and key.value in seen:
            raise ValueError(f"{path}, line {key.start_mark.line + 1}: key '{key.value}' appears twice in its block")
        seen |= {key.value} if isinstance(key, yaml.ScalarNode) else set()
        _check_keys(value, path)


def _columns(head: list[str], rules: dict, where: str) -> list[str]:
    """Names of the columns."""
    columns = text.filled(head)
    if len(columns) < 2:
        raise ValueError(f"{where}: the head of the sheet has no tabs: save it as tab-separated text")
    for position, name in enumerate(columns):
        if not name:
            raise ValueError(f"{where}: column {position + 1} has no name")
        if name in columns[:position]:
            raise ValueError(f"{where}: column '{name}' appears twice")
        if name not in rules["properties"]:
            raise ValueError(f"{where}: unknown column '{name}'{suggest(name, rules['properties'])}")
    if missing := [name for name in rules["required"] if name not in columns]:
        raise ValueError(f"{where}: column '{missing[0]}' is missing")
    return columns


def _row(columns: list[str], cells: list[str], rules: dict, where: str) -> dict[str, str | list[str]]:
    """Cells of a row by column, without the empty ones; where the schema has a list, commas separate its entries."""
    cells = text.filled(cells)
    if len(cells) > len(columns):
        raise ValueError(f"{where}: has {len(cells)} cells for {len(columns)} columns, the last one '{cells[-1]}'")
    if len(cells) == 1:
        raise ValueError(f"{where}: has one cell only, '{cells[0]}': tabs separate the cells of a row, not spaces")
    row = {column: cell for column, cell in zip(columns, cells, strict=False) if cell}
    return {name: _listed(cell, rules["properties"][name]) for name, cell in row.items()}


def _listed(cell: str, rules: dict) -> str | list[str]:
    """Entries of a cell where its column has a list, or may have one and the cell has commas."""
    kinds = _kinds(rules)
    is_list = kinds == ["array"] or ("array" in kinds and "," in cell)
    return [part.strip() for part in cell.split(",")] if is_list else cell


def _fill(value: Any, rules: dict) -> Any:
    """Defaults for absent keys and plain values for text, wherever the schema describes properties and items."""
    if isinstance(value, list):
        return [_fill(entry, rules.get("items", {})) for entry in value]
    if isinstance(value, str | float):
        return _plain(value, _kinds(rules))
    if not isinstance(value, dict):
        return value
    value = dict(value)  # blocks that share a YAML anchor are one object, but may have different defaults
    known, others = rules.get("properties", {}), rules.get("additionalProperties")
    for key, sub in known.items():
        if key not in value and "default" in sub:
            value[key] = copy.deepcopy(sub["default"])
    others = others if isinstance(others, dict) else {}
    return {key: _fill(entry, known.get(key, others)) for key, entry in value.items()}


_WORDS = {"true": ("boolean", True), "false": ("boolean", False), "null": ("null", None)}


def _kinds(rules: dict) -> list[str]:
    kinds = rules.get("type", [])
    return [kinds] if isinstance(kinds, str) else kinds


def _plain(value: str | float, kinds: list[str]) -> Any:
    """A number, truth value or null where the schema wants one.

    Text like 4/255 or 1e-3 YAML does not read as a number, and `--config` of Snakemake gives `true` and `null` as text.
    """
    if value in _WORDS and _WORDS[value][0] in kinds and "string" not in kinds:
        return _WORDS[value][1]
    if isinstance(value, str) and "integer" in kinds and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, str) and {"number", "integer"} & {*kinds}:
        over, slash, under = value.partition("/")
        parts = [over, under] if slash else [over]
        if all(_FLOAT.fullmatch(part.strip()) for part in parts) and (not slash or float(under)):
            value = float(over) / float(under) if slash else float(over)
    if isinstance(value, float) and "integer" in kinds and value.is_integer():
        return int(value)
    return value


def _sentence(error: jsonschema.ValidationError) -> str:
    key = ".".join(map(str, error.absolute_path))
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        extra = next(k for k in error.instance if k not in known)
        name = ".".join(filter(None, [key, str(extra)]))
        if extra in error.schema.get("moved", {}):
            return f"'{name}' is now '{error.schema['moved'][extra]}': move it there"
        return f"unknown key '{name}'{suggest(extra, known)}"
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        return f"key '{'.'.join(filter(None, [key, missing]))}' is missing"
    if error.validator == "enum":
        return f"'{key}' is '{error.instance}'{suggest(error.instance, error.validator_value)}"
    got = repr(error.instance) if not isinstance(error.instance, bool | type(None)) else json.dumps(error.instance)
    return f"'{key}' {_rule(error)}, got {got}" + error.schema.get("hint", "").format(error.instance)


def _rule(error: jsonschema.ValidationError) -> str:
    """What a value has to be, in words."""
    bound = error.validator_value
    if error.validator == "pattern" or ("words" in error.schema and isinstance(bound, list)):  # a number, or this word
        return error.schema["words"]
    if error.validator == "type":
        return "must be " + " or ".join(_TYPES[kind] for kind in ([bound] if isinstance(bound, str) else bound))
    return _RULES[error.validator].format(bound).replace(" 1 entries", " 1 entry").replace(" 1 keys", " 1 key")
