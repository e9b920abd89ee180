"""Results in an object storage, Snakemake's `--default-storage-provider`: what goes there, and what stays here."""

from collections.abc import Callable
from typing import Any


def results_alone(modifier: Any, results: str, local: Callable[[Any], Any]) -> None:
    """Have the storage hold results and nothing else: logs, benchmarks and what is given stay where they are.

    Snakemake would look for every input in the storage, for sources of the sheets and published tables too. Its flag
    `local` also has a job that reads such a file run where Snakemake runs, where workers share no file system with it.

    Parameters
    ----------
    modifier : Snakemake's, through which the paths of all rules of a workflow or module pass; left as it is where no
        storage is asked for
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
    """Whether a path has been through here, or is an input function, whose paths pass one by one."""
    return "storage_object" in getattr(path, "flags", {}) or getattr(path, "callable", None) is not None
