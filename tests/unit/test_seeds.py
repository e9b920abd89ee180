"""Seeds: the same on every machine, and one of its own for everything that is drawn."""

import subprocess
import sys
from pathlib import Path

from mettle import seeds


def test_derive_gives_pinned_seeds():
    assert seeds.derive(0, "sample", "scenes") == 758336582390754459
    assert 0 <= seeds.derive(0) < 2**63


def test_derive_depends_on_all_parts_and_their_order():
    parts = [(0, "a"), ("a", 0), (0, "b"), (1, "a"), (0, "a", ""), ("0", "a"), ("0a",), (0,)]
    assert len({seeds.derive(*part) for part in parts}) == len(parts)


def test_derive_is_the_same_in_another_process():
    code = f"import sys; sys.path.insert(0, {str(Path(seeds.__file__).parents[1])!r}); from mettle import seeds; "
    command = [sys.executable, "-c", code + "print(seeds.derive(5, 'x'))"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(answer.stdout) == seeds.derive(5, "x")
