"""The order of the tests."""

from itertools import chain, islice, zip_longest
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# Long tests, or fixtures that take long.
SLOW = [
    TESTS / "workflow",
    *(TESTS / "unit" / name for name in ("train/test_parallel.py", "train/test_tasks.py", "train/test_loop.py")),
    *(TESTS / "unit" / name for name in ("perturb/test_autoattack.py", "plan/test_what_is_told.py")),
]


@pytest.hookimpl(trylast=True)  # after those that are not selected have been left out
def pytest_collection_modifyitems(config, items):
    """Let every process begin with its share of the slow tests, in turns with those of the cluster, which mostly wait.

    pytest-xdist gives each process as many tests, in this order; one that is done takes over the last ones of another.
    The first process begins with the cluster, the others do not, so that they need not wait for the same fixture.
    """
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    if processes == 1:
        return
    cluster, slow, quick = _sorted(items)
    ordered = []
    for k in range(processes):
        mine = cluster[k::processes], slow[k::processes]
        begin = _in_turns(*mine) if k == 0 else _in_turns(*reversed(mine))
        room = (len(items) - len(ordered)) // (processes - k)
        ordered += [*begin, *islice(quick, max(0, room - len(begin)))]
    items[:] = ordered


def _sorted(items):
    """Tests of the cluster one by one, slow ones by module, of which one process makes the fixtures, and the others."""
    cluster, slow, quick = [], {}, []
    for item in items:
        if item.path.is_relative_to(TESTS / "cluster"):
            cluster.append([item])
        elif any(item.path.is_relative_to(path) for path in SLOW):
            slow.setdefault(item.path, []).append(item)
        else:
            quick.append(item)
    return cluster, list(slow.values()), iter(quick)


def _in_turns(*groups):
    return [item for turn in zip_longest(*groups, fillvalue=()) for item in chain.from_iterable(turn)]
