"""Attacks on features: the entries of `drift.attacks`."""

from collections.abc import Mapping
from typing import Any

from mettle import schema
from mettle.plan import hardened
from mettle.typed import FeatureAttack


def entries(config: Mapping[str, Any]) -> dict[str, FeatureAttack]:
    """The entries of `drift.attacks` by name, checked, with defaults.

    Raises
    ------
    ValueError
        For an entry that is wrong.
    """
    found = {}
    for name, content in config["drift"]["attacks"].items():
        where = f"configuration: drift.attacks.{name}"
        options = schema.check(content, "feature_attack", where)
        hardened.check_attack(options, f"{where}.")
        found[name] = options
    return found
