"""Layers of models: the entries of `represent.layers`."""

from collections.abc import Iterable, Mapping
from typing import Any

from mettle import schema


def check(config: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ValueError for an entry of `represent.layers` that is neither a model nor the architecture of one."""
    known = [*models, *_architectures(models)]
    for name in config["represent"]["layers"]:
        if name not in known:
            raise ValueError(
                f"configuration: represent.layers: '{name}' is neither a model nor the architecture of one"
                f"{schema.suggest(name, known)}"
            )


def named(config: Mapping[str, Any], row: Mapping[str, Any]) -> list[str] | None:
    """Layers that are named for a model, or else for its architecture; None if it has those that are found."""
    entries = config["represent"]["layers"]
    return entries.get(row["model"], entries.get(row["arch"]))


def _architectures(models: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    return sorted({row["arch"] for row in models.values()})
