"""
SHA-256 digests of the packages that make installs, in requirements.hashes.

    python envs/hashes.py    write them anew, from requirements.lock and what the package index serves

They are those of Linux on x86-64, for Python 3.11 and 3.12.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from check import ROOT, normal, pip_of_conda, required

from environments import requirements

HASHES = ROOT / "requirements.hashes"
PYTHONS = ("3.11", "3.12")
# What each target of make installs, on top of what `make env` and, before `dev`, `extras` has installed.
TARGETS = {
    "env": "requirements.txt",
    "extras": "requirements-extras.txt",
    "dev": "requirements-dev.txt",
    "reference": "requirements-reference.txt",
}
# Wheels for a glibc of 2.28, which torch's need, or older; of others the machine that writes would decide.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(5, 29)]
PLATFORMS += [f"manylinux{year}_x86_64" for year in (1, 2010, 2014)] + ["linux_x86_64"]
HEAD = """\
# SHA-256 of every package that make installs on Linux on x86-64, for Python 3.11 and 3.12, then its targets: `env`, and
# on top of it `extras`, `dev` and `reference`. Written by `make pins`; requirements.lock has the versions alone.
"""

Report = dict[str, dict[str, Any]]


def report(python: str) -> Report:
    """What pip would install of requirements.lock and requirements-reference.txt, by package, for a version of Python.

    Raises
    ------
    ValueError
        If the package index lacks one of them; says which.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        command = [sys.executable, *["-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet"]]
        command += ["--report", path, "--target", folder, "--python-version", python]
        command += [word for platform in PLATFORMS for word in ("--platform", platform)]
        for file in ("requirements.lock", TARGETS["reference"]):
            command += ["--requirement", ROOT / file]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise ValueError(f"requirements.lock, Python {python}: {answer.stderr.strip().splitlines()[-1]}")
        return {normal(item["metadata"]["name"]): item for item in json.loads(path.read_text())["install"]}


def text(reports: dict[str, Report]) -> str:
    """The file, from what pip would install for each version of Python.

    Raises
    ------
    ValueError
        If a package needs another one that requirements.lock lacks; names it.
    """
    every = {name: item for found in reports.values() for name, item in found.items()}
    needed = {target: _needed(file, reports) for target, file in TARGETS.items()}
    if missing := sorted(set().union(*needed.values()) - set(every)):
        raise ValueError(f"requirements.lock lacks {', '.join(missing)}: see CONTRIBUTING.md, Pins")
    pinned = requirements(TARGETS["reference"]) | requirements("requirements.lock")
    lines = []
    for name in sorted(set().union(*needed.values())):
        first, *more = [target for target in TARGETS if name in needed[target]]
        also = [target for target in more if target == "reference" and first != "env"]
        digests = sorted({_digest(found[name]) for found in reports.values()})
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in digests)
        lines.append(f"{name}{pinned[name]} {hashes} # {' '.join([first, *also])}\n")
    return HEAD + "".join(lines)


def _needed(file: str, reports: dict[str, Report]) -> set[str]:
    """Packages that a requirements file needs, directly or not, with one of the versions of Python."""
    found: set[str] = set()
    for python, every in reports.items():

        def requires(name: str, every: Report = every) -> list[str]:
            return every[normal(name)]["metadata"].get("requires_dist", []) if normal(name) in every else []

        found |= required(set(requirements(*_with_included(file))), requires, python=python)
    return found


def _with_included(file: str) -> list[str]:
    """A requirements file and those that it includes."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    included = [line.split()[1] for line in lines if line.startswith("--requirement ")]
    return [file, *(name for inner in included for name in _with_included(inner))]


def _digest(item: dict[str, Any]) -> str:
    return item["download_info"]["archive_info"]["hashes"]["sha256"]


def main() -> None:
    """Write the file."""
    with pip_of_conda():
        HASHES.write_text(text({python: report(python) for python in PYTHONS}), encoding="utf-8")
    print(f"{HASHES.name} written")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(str(error))
