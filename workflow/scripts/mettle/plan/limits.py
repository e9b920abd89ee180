"""Limits: options of attacks and measures that cannot be, given numbers of classes and images that the plan knows."""

from collections.abc import Iterator
from math import inf
from typing import Any

from mettle import schema
from mettle.plan.sheets import Sheets

Row = dict[str, Any]


def check_attack(sheets: Sheets, attack: str, dataset: str, where: str) -> None:
    """Raise ValueError if an attack, a cell of `attack.attacks`, needs more classes than a data set has."""
    options, classes = sheets.attacks[attack], sheets.datasets[dataset].get("classes", inf)
    for key, limits, value in _limited(options, f"attacks/{options['method']}", "classes"):
        asked = value if isinstance(value, list) else [value]
        for one in asked:
            if limits.get(one, 0) > classes:
                others = [other for other in asked if limits.get(other, 0) <= classes] or ["ce"]
                remedy = f"set `{key}: {_written(others, value)}`"
                if (options["method"], options["norm"]) == ("autoattack", "l1"):  # has all members or is none
                    remedy = "name an attack of method apgd, fab or square"
                raise ValueError(
                    f"{where}: {key} '{one}' of attack '{attack}' needs {limits[one]} classes or more, '{dataset}' has "
                    f"{classes}: {remedy}"
                )


def check_measure(sheets: Sheets, measure: str, images: str, where: str) -> None:
    """Raise ValueError if a measure needs more images than are represented, natural ones or inverted ones."""
    options = sheets.measures[measure]
    key = "invert.images" if images == "inverted" else "represent.sample"
    block, name = key.split(".")
    there = sheets.config[block][name]
    for option, more, value in _limited(options, f"measures/{options['method']}", "images"):
        if value is not None and value + more > there:
            raise ValueError(
                f"{where}: {option} {value} of measure '{measure}' needs {value + more} images, {key} is {there}"
            )


def _limited(options: Row, rules: str, keyword: str) -> Iterator[tuple[str, Any, Any]]:
    """The options that have a limit of this keyword in their schema: key, limit and value."""
    for key, about in schema.load(rules)["properties"].items():
        if keyword in about:
            yield key, about[keyword], options[key]


def _written(values: list[str], like: Any) -> str:
    return f"[{', '.join(values)}]" if isinstance(like, list) else values[0]
