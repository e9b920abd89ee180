"""Plans of the configurations that ship, laid over each other as `--configfile` does."""

from functools import reduce

from imports import ROOT
from mettle import schema
from mettle.plan import Plan


def overlay(base, own):
    """Mappings merged key by key, all else replaced."""
    both = {key: overlay(base[key], own[key]) for key in own if isinstance(own[key], dict) and key in base}
    return base | own | both


def plan(*names):
    """The plan of config.yaml with these files of config/ laid over it, in the project's folder."""
    return Plan(reduce(overlay, (schema.read_yaml(ROOT / "config" / f"{name}.yaml") for name in ("config", *names))))
