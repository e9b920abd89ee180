"""Input and params functions made of others."""

from collections.abc import Callable
from typing import Any


def uncounted(value: Any) -> Callable[[Any, Any], Any]:
    """A params function for what a job is told although no number depends on it: a change of it makes nothing again.

    Snakemake counts no params function that takes `input`: what that gives follows from files, which count themselves.

    Parameters
    ----------
    value : what the job is told, or a function of its wildcards
    """
    return lambda wildcards, input: value(wildcards) if callable(value) else value


def images_of(stores: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    """Input function: the images among what another gives, stores and their manifests.

    Rules take them as `ancient`: a manifest says all that its images hold, so that it alone tells whether they changed.
    """
    return lambda wildcards: [path for path in stores(wildcards) if path.endswith(".lmdb")]


def manifests_of(stores: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    """Input function: the manifests among what another gives."""
    return lambda wildcards: [path for path in stores(wildcards) if not path.endswith(".lmdb")]
