"""Engines of measures that compute on a GPU: they have their own rules, and a dry run says what is missing."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from mettle import cuda

# The package that each engine needs; not among the requirements, since a script builds it.
PACKAGES = {"ripser++": "ripserplusplus"}
SCRIPT = "envs/compare_gpu.post-deploy.sh"


def on_gpu(measures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Measures, by name with their options, whose engine computes on a GPU."""
    return [name for name, options in measures.items() if options.get("engine") in PACKAGES]


def lacks(engine: str, *, conda: bool, here: bool) -> str:
    """A sentence on what an engine lacks; empty if it can run, as far as this machine can tell.

    Parameters
    ----------
    engine : key of `PACKAGES`
    conda : whether jobs get an environment of their own, which brings the package
    here : whether jobs run on this machine
    """
    package = PACKAGES[engine]
    if not conda and find_spec(package) is None:
        return (
            f"engine '{engine}' needs the package {package}, which is not installed: build it, where there is nvcc, by "
            f"`bash {SCRIPT}`, or add --sdm conda, or use engine auto, which gives the same values"
        )
    if here and not cuda.is_available():
        return (
            f"engine '{engine}' needs a CUDA device, and this machine has none: run it with a profile whose jobs get a "
            "GPU (--profile slurm), or use engine auto, which gives the same values"
        )
    return ""
