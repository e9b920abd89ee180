"""Page and notebook of the library: they show the script, and script and notebook find what the page says."""

import json
import os
import re
import subprocess
import sys

import nbformat
import pytest

from imports import ROOT, SCRIPTS


def test_the_page_is_the_script():
    command = [sys.executable, ROOT / "docs" / "make_library.py", "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


NOTEBOOK = ROOT / "docs" / "library.ipynb"
# As Jupyter does: cell after cell, with the same names.
CELLS = "import json, sys\nnames = {}\nfor cell in json.load(open(sys.argv[1]))['cells']:\n"
CELLS += "    if cell['cell_type'] == 'code':\n        exec(''.join(cell['source']), names)\n"


def test_the_notebook_is_one_and_has_no_outputs():
    found = nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)
    nbformat.validate(found)
    code = [cell for cell in found.cells if cell.cell_type == "code"]
    assert len(code) > 5 and not any(cell.outputs for cell in code)
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    assert all(cell.source in page for cell in found.cells)


def test_a_page_that_is_out_of_date_is_named(tmp_path):
    for name in ("make_library.py", "library.py", "library.md", "library.ipynb"):
        (tmp_path / name).write_text((ROOT / "docs" / name).read_text(encoding="utf-8"), encoding="utf-8")
    changed = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    (tmp_path / "library.ipynb").write_text(json.dumps(changed), encoding="utf-8")
    command = [sys.executable, tmp_path / "make_library.py", "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 1 and answer.stderr == "docs/library.ipynb is out of date: run `make docs`\n"


@pytest.mark.parametrize(
    "command", [[ROOT / "docs" / "library.py"], ["-c", CELLS, NOTEBOOK]], ids=["script", "notebook"]
)
def test_it_runs(command, tmp_path):
    env = os.environ | {"PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    clean, robust = re.search(r"accuracy (\S+) clean, (\S+) under PGD", answer.stdout).groups()
    assert float(clean) > 0.5 > float(robust)
    assert "L2 distance: 2.00 at most" in answer.stdout
    value, permuted = re.search(r"cka: (\S+), permuted (\S+)", answer.stdout).groups()
    assert float(value) > 0.3 > float(permuted)
    assert (tmp_path / "results" / "library" / "attacked.png").stat().st_size > 1000
