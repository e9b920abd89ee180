"""The parts that a plan is put together from: a name of one hides no name of another."""

import collections
import inspect

from mettle.plan.cells import Cells
from mettle.plan.jobs import Jobs


def test_no_two_parts_define_one_name():
    parts = [part for part in Jobs.__mro__ if part not in (Jobs, *Cells.__mro__)]
    assert len(parts) > 5
    defined = collections.defaultdict(set)
    for part in parts:
        for name, value in vars(part).items():
            if not name.startswith("__") and (inspect.isroutine(value) or hasattr(value, "__get__")):
                defined[name].add(part)
    # A subclass may say more of what its own base says; parts side by side may not.
    clashes = {
        name: sorted(part.__name__ for part in own)
        for name, own in defined.items()
        if any(not issubclass(one, other) and not issubclass(other, one) for one in own for other in own)
    }
    assert clashes == {}
