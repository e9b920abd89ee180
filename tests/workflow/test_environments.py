"""Scripts in their own environments: everything that a script may import is there when nothing else is."""

import subprocess

import pytest

from environments import ENVS, isolate, names, pins, pip_part, scripts
from imports import SCRIPTS

pytestmark = pytest.mark.workflow
PROGRAM = """
import sys
sys.path.append(sys.argv[1])
for name in sys.argv[2:]:
    package, _, last = name.rpartition(".")
    exec(f"from {package} import {last}" if package else f"import {name}")
"""


def imported(python, wanted):
    """Errors of a Python that imports these names and sees our scripts."""
    command = [python, "-I", "-c", PROGRAM, str(SCRIPTS), *sorted(wanted)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("env", ENVS, ids=lambda path: path.stem)
def test_an_environment_alone_gives_every_import_of_its_scripts(env, tmp_path):
    python = isolate(pins(pip_part(env)), tmp_path / "env")
    wanted = set().union(*(names(script) for script in scripts(env)))
    found = imported(python, wanted)
    assert "Error" not in found, found
    assert "No module named 'foolbox'" in imported(python, {"foolbox"})
