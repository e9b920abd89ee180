"""docs/measures.md is what the registry says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_page_of_measures_is_up_to_date():
    command = [sys.executable, str(ROOT / "docs" / "make_measures.py"), "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
