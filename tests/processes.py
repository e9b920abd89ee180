"""Python code in a process of its own: one that is to fork must not inherit what other tests have left behind."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from imports import SCRIPTS
from waits import FAR


def started(folder, code, *paths):
    """A process that runs code, which may import from these folders, the tests' and the library."""
    script = folder / "script.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    found = [*map(str, paths), str(Path(__file__).parent), str(SCRIPTS)]
    script.write_text(f"import sys\nsys.path[:0] = {found}\n" + textwrap.dedent(code))
    # As inside an allocation of Slurm, which must not be mistaken for a launcher.
    here = os.environ | {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "0"}
    return subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=here
    )


def finished(process, code=0):
    """Output and errors of a process once it has ended, with this exit status."""
    try:
        out, error = process.communicate(timeout=FAR)
    finally:
        process.kill()
    assert process.returncode == code, error
    return out, error
