"""The order of the tests."""

from pathlib import Path

CLUSTER = Path(__file__).parent / "cluster"


def pytest_collection_modifyitems(items):
    """Spread those of the cluster, which mostly wait for Slurm, evenly among the others, so that cores are busy."""
    waiting = [item for item in items if item.path.is_relative_to(CLUSTER)]
    others = [item for item in items if not item.path.is_relative_to(CLUSTER)]
    if waiting:
        ends = [len(others) * k // len(waiting) for k in range(len(waiting) + 1)]
        items[:] = [item for k, one in enumerate(waiting) for item in (one, *others[ends[k] : ends[k + 1]])]
