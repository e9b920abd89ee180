"""docs/corruptions.md: its example runs, and it names every family and every switch."""

import dataclasses
import re
from pathlib import Path

from mettle.corruptions import BENCHMARK
from mettle.corruptions.corrupter import Parity
from mettle.corruptions.parameters import FAMILIES

PAGE = (Path(__file__).parents[3] / "docs" / "corruptions.md").read_text()


def test_the_example_runs(capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    exec(code, {})
    changes = eval(capsys.readouterr().out)
    assert list(changes) == list(BENCHMARK) and min(changes.values()) > 0


def test_every_family_and_switch_is_there():
    names = [*FAMILIES, *(field.name for field in dataclasses.fields(Parity))]
    assert [name for name in names if f"`{name}`" not in PAGE] == []
