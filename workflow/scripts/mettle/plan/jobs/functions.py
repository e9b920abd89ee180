"""Input and params functions made from others."""

from collections.abc import Callable
from typing import Any


def uncounted(value: Any) -> Callable[[Any, Any], Any]:
    """A params function for values that no result depends on: a change makes nothing again.

    Snakemake ignores params functions that take `input`: their value follows from files, whose changes count.

    Parameters
    ----------
    value : the value, or a function of the wildcards
    """
    return lambda wildcards, input: value(wildcards) if callable(value) else value


def images_of(stores: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    """Input function: the image stores among the stores and manifests that another gives.

    Rules take them as `ancient`: a manifest has the digests of its images, so it alone tells whether they changed.
    """
    return lambda wildcards: [path for path in stores(wildcards) if path.endswith(".lmdb")]


def manifests_of(stores: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    """Input function: the manifests among the files that another gives."""
    return lambda wildcards: [path for path in stores(wildcards) if not path.endswith(".lmdb")]
