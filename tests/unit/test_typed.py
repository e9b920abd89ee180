"""Typed dicts say what the schemas say."""

import types
import typing
from typing import Any, NotRequired

import pytest

from mettle import schema, typed

TYPES = {"integer": int, "number": float, "string": str, "boolean": bool, "null": types.NoneType}
ADDED = {"sweep", "cell", "classes", "code", "loss_code"}  # by the plan


def is_block(kind):
    return typing.is_typeddict(kind)


def described(rules):
    """The type of a value under a schema, `dict` for a block that is described key by key."""
    if "enum" in rules or "const" in rules:
        return str
    if rules["type"] == "object":
        return dict if rules.get("properties") else dict[str, Any]
    kinds = [rules["type"]] if isinstance(rules["type"], str) else rules["type"]
    found = [list[described(rules["items"])] if kind == "array" else TYPES[kind] for kind in kinds]
    return typing.Union[tuple(found)]  # noqa: UP007 - of a list


def compare(kind, rules):
    hints = typing.get_type_hints(kind, include_extras=True)
    assert set(hints) - (ADDED if kind is typed.ModelRow else set()) == set(rules["properties"])
    for key, sub in rules["properties"].items():
        always = key in rules.get("required", []) or "default" in sub
        assert (key in kind.__required_keys__) == always, key
        found = hints[key] if always else typing.get_args(hints[key])[0]
        if is_block(found):
            compare(found, sub)
        else:
            assert found == described(sub), key


@pytest.mark.parametrize(
    ("kind", "file"), [(typed.Recipe, "recipe"), (typed.ModelRow, "models"), (typed.DatasetRow, "datasets")]
)
def test_keys_and_types_are_those_of_the_schema(kind, file):
    compare(kind, schema.load(file))


def test_options_of_attacks_are_those_of_all_methods():
    methods = [schema.load(f"attacks/{name}")["properties"] for name in schema.names("attacks")]
    hints = typing.get_type_hints(typed.AttackOptions, include_extras=True)
    assert set(hints) == set().union(*methods)
    for key, found in hints.items():
        kinds = {described(rules[key]) for rules in methods if key in rules}
        everywhere = all(key in rules for rules in methods)
        assert kinds == {found if everywhere else typing.get_args(found)[0]}, key
        assert everywhere or typing.get_origin(found) is NotRequired, key
