"""Options of a recipe that do nothing beside others: refused by name, as the recipe's schema says under `idle`."""

import json
from collections.abc import Iterator
from functools import cache, reduce
from typing import Any

from mettle import schema

Row = dict[str, Any]
Layers = list[tuple[str, Row]]  # where it is written, and the keys that are written there: the base first


def check_idle(layers: Layers) -> None:
    """Raise ValueError for an option that does nothing in the recipe that states it, nor in one that builds on it.

    What a recipe inherits and switches off (`attack.schedule.period` under `shape: constant`) is no fault of either. An
    option that states its own off (false, null, none or 0, where that is the default) says nothing wrong.

    Parameters
    ----------
    layers : the recipe's files, from the one that extends nothing to itself
    """
    idle: dict[str, tuple[str, Row]] = {}
    recipe: Row = {}
    for where, own in layers:
        recipe = merge(recipe, own)
        full = schema.filled(recipe, "recipe")
        stated = {key: where for key, value in _options(own) if not _is_off(key, value)}
        left = {key: place for key, (place, _) in idle.items() if at(recipe, key) is not None}
        idle = {key: (place, why) for key, place in (left | stated).items() if (why := _why(key, full))}
    for key, (where, why) in idle.items():
        shown = " and ".join(_shown(other, at(full, other)) for other in why)
        raise ValueError(f"{where}: {key} does nothing where {shown}: take it out, or change {' or '.join(why)}")


def merged(layers: Layers) -> Row:
    """The keys of all layers; those of a later one count."""
    return reduce(merge, (own for _, own in layers), {})


def merge(base: Row, own: Row) -> Row:
    """Nested mappings merged; a key that is set to null takes a whole block away."""
    found = dict(base)
    for key, value in own.items():
        if value is None and isinstance(base.get(key), dict):
            found.pop(key)
        else:
            both = isinstance(value, dict) and isinstance(base.get(key), dict)
            found[key] = merge(base[key], value) if both else value
    return found


def at(recipe: Row, key: str, default: Any = None) -> Any:
    """Value at a key with points; the default where the recipe has no such block."""
    for part in key.split("."):
        if not isinstance(recipe, dict) or part not in recipe:
            return default
        recipe = recipe[part]
    return recipe


@cache
def known() -> dict[str, dict]:
    """What the schema says of each option, by its key with points."""
    return dict(_known(schema.load("recipe"), ""))


def _known(rules: dict, prefix: str) -> Iterator[tuple[str, dict]]:
    for key, sub in rules["properties"].items():
        yield from _known(sub, f"{prefix}{key}.") if "properties" in sub else [(prefix + key, sub)]


def _options(own: Row, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with points that are written in a file, and their values."""
    for key, value in own.items():
        if isinstance(value, dict) and prefix + key not in known():
            yield from _options(value, f"{prefix}{key}.")
        elif prefix + key in known():
            yield prefix + key, value


def _is_off(key: str, value: Any) -> bool:
    return value in (False, None, "none", 0) and value == known()[key].get("default")


def _why(key: str, full: Row) -> Row | None:
    """The values beside which an option does nothing; None if it does something."""
    for case in known()[key].get("idle", []):
        if all(_is_among(at(full, other), values) for other, values in case.items()):
            return case
    return None


def _is_among(value: Any, values: list | Row) -> bool:
    if isinstance(values, list):
        return value in values
    if "lacks" in values:
        return value is not None and values["lacks"] not in value
    return value not in values["except"]


def _shown(key: str, value: Any) -> str:
    return f"there is no {key}" if value is None and key not in known() else f"{key} is {json.dumps(value)}"
