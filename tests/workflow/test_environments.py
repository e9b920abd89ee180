"""Scripts in their environments: all that a script may import is there when nothing else is, and jobs run in them."""

import os
import subprocess

import pytest
from test_chain import plant

import conda_stand_in
from environments import ENVS, controller, isolate, names, pins, pip_part, required, requirements, scripts
from imports import SCRIPTS

pytestmark = [pytest.mark.workflow, pytest.mark.environments]
PROGRAM = """
import sys
sys.path.append(sys.argv[1])
if any(name.startswith("mmdet") for name in sys.argv):
    from mettle.models.adapters import operators
    operators.register()  # as the adapters do before they import mmcv.ops
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


def test_jobs_run_in_their_environments_and_snakemake_in_one_without_their_packages(tmp_path):
    # What the environments are built by is no conda: see tests/conda_stand_in.py.
    lock = requirements("requirements.lock")
    python = isolate({name: lock[name] for name in required(controller())}, tmp_path / "controller")
    assert "No module named 'torch'" in imported(python, {"torch"})
    plant(tmp_path / "tree")
    commands = conda_stand_in.install(tmp_path / "conda")
    targets = [f"results/figures/{figure}.pdf" for figure in ("fig3", "fig6")] + ["results/tables/accuracy.parquet"]
    targets += ["results/robustness/digits/vgg5-plain-s0/few.parquet", "results/cards/vgg5-plain-s0.html"]
    answer = subprocess.run(
        [python, "-m", "snakemake", "--cores", "1", "--sdm", "conda", "--", *targets],
        cwd=tmp_path / "tree",
        env={"PATH": f"{commands}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    made = list((tmp_path / "tree" / ".snakemake" / "conda").glob("*.yaml"))
    assert len(made) == len(ENVS) - 3, "all but those of download, a GPU and dense tasks, which no chain here uses"
