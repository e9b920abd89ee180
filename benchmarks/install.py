"""`make bench`: seconds, size and number of packages of a new environment, requirement file after requirement file.

The environment is removed at the end. Seconds include downloads, unless pip's cache or a local index has the files.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import record

ROOT = Path(__file__).parents[1]
COLUMNS = ["what", "seconds", "packages", "MB on disk"]
STEPS = {"make env": "requirements.txt", "make extras": "requirements-extras.txt", "make dev": "requirements-dev.txt"}


def main() -> None:
    options = record.arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder, record.table("install", COLUMNS, options) as add:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        for command, file in STEPS.items():
            seconds = install(python, file)
            add(f"`{command}` (`{file}`)", f"{seconds:.0f}", str(packages(python)), f"{megabytes(Path(folder)):,.0f}")


def install(python: Path, file: str) -> float:
    """Seconds that pip takes for a requirement file under the lock."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", file]
    started = time.perf_counter()
    subprocess.run([*command, "--constraint", "requirements.lock"], cwd=ROOT, check=True)
    return time.perf_counter() - started


def packages(python: Path) -> int:
    """Number of packages that are installed, pip apart."""
    command = [python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return len([package for package in found if package["name"] not in ("pip", "setuptools")])


def megabytes(folder: Path) -> float:
    """Size of all files of a folder in MB, of 10^6 bytes."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
