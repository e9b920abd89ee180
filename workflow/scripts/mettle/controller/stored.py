"""Results in object storage, Snakemake's `--default-storage-provider`: which paths go there."""

from collections.abc import Callable
from typing import Any


def results_alone(modifier: Any, results: str, local: Callable[[Any], Any]) -> None:
    """Store results and nothing else: logs, benchmarks and given files stay where they are.

    Snakemake would look for every input in the storage, also for sources of the sheets and published tables. Where
    workers share no file system with Snakemake, its flag `local` also makes jobs that read such a file run beside it.

    Parameters
    ----------
    modifier : Snakemake's, which the paths of all rules of a workflow or module pass through; unchanged if no storage
        is asked for
    results : folder of evaluations, tables and figures; stores and weights are in `results` in any case
    local : Snakemake's flag
    """
    if modifier.workflow.storage_settings.default_storage_provider is None:
        return
    stored, modify = ("results/", "<results>/", f"{results}/"), modifier.modify
    modifier.modify = lambda path, property=None: modify(
        path if _decided(path) or str(path).startswith(stored) else local(path), property
    )


def _decided(path: Any) -> bool:
    """Whether a path was modified already, or is an input function, whose paths are modified one by one."""
    return "storage_object" in getattr(path, "flags", {}) or getattr(path, "callable", None) is not None
