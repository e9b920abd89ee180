"""The page of the library: it shows the script, and the script runs and finds what the page says."""

import os
import re
import subprocess
import sys

from imports import ROOT, SCRIPTS


def test_the_page_is_the_script():
    command = [sys.executable, ROOT / "docs" / "make_library.py", "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_the_script_runs(tmp_path):
    env = os.environ | {"PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ROOT / "docs" / "library.py"]
    answer = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    clean, robust = re.search(r"accuracy (\S+) clean, (\S+) under PGD", answer.stdout).groups()
    assert float(clean) > 0.5 > float(robust)
    assert "L2 distance: 2.00 at most" in answer.stdout
    value, permuted = re.search(r"cka: (\S+), permuted (\S+)", answer.stdout).groups()
    assert float(value) > 0.3 > float(permuted)
    assert (tmp_path / "results" / "library" / "attacked.png").stat().st_size > 1000
