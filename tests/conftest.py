"""The order of the tests, and their threads."""

import os
from itertools import chain, islice, zip_longest
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # there is a process for every core: more threads would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

TESTS = Path(__file__).parent
# Files with long tests, or with fixtures that take long.
SLOW = [*sorted((TESTS / "workflow").glob("test_*.py"))]
SLOW += [TESTS / "unit" / name for name in ("test_demo.py", "test_golden.py", "plan/test_what_is_told.py")]
SLOW += [TESTS / "unit" / "perturb" / f"test_{name}.py" for name in ("autoattack", "fab")]
TRAINING = ("parallel", "slurm_tasks", "idle_options", "loop", "recipes", "loggers", "transfer_training", "views")
SLOW += [TESTS / "unit" / "stages" / "train" / f"test_{name}.py" for name in TRAINING]
SLOW += [TESTS / "unit" / "stages" / name for name in ("plot/test_universality.py", "attack/test_evaluate.py")]
SLOW += [TESTS / "unit" / "stages" / "tokens" / f"test_{name}.py" for name in ("drift", "tokens_training")]


@pytest.hookimpl(trylast=True)  # after those that are not selected have been left out
def pytest_collection_modifyitems(config, items):
    """Let every process begin with its share of the slow tests, in turns with those of the cluster, which mostly wait.

    pytest-xdist gives each process as many tests, in this order; one that is done takes over the last ones of another.
    The first process begins with the cluster, the others do not, so that they need not wait for the same fixture.
    """
    if missing := [path for path in SLOW if not path.exists()]:
        raise pytest.UsageError(f"tests/conftest.py names files that are not there: {', '.join(map(str, missing))}")
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
        elif item.path in SLOW:
            slow.setdefault(item.path, []).append(item)
        else:
            quick.append(item)
    return cluster, list(slow.values()), iter(quick)


def _in_turns(*groups):
    return [item for turn in zip_longest(*groups, fillvalue=()) for item in chain.from_iterable(turn)]
