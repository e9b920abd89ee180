"""
What can be said of the environments where conda is not installed.

    python envs/check.py            parse every file with a conda parser, resolve its pip part by pip, and look for the
                                    CUDA build where a script uses torch, for none elsewhere
    python envs/check.py --write    write every file again, from what the scripts import and requirements.lock
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import yaml
from rattler import MatchSpec

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from environments import ENVS, bytes_of, direct, normal, pins, pip_part, required, requirements  # noqa: E402 (the path comes first)

PIP = "25.2"
HEAD = """\
# Environment of the {stage} stage for `snakemake --sdm conda`, every package as in requirements.lock.
# Written by `make pins`, checked by `make envs`. Conda itself chooses only what lies below Python (openssl and such).
name: mettle-{stage}
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11.14
  - pip={pip}
  - pip:
"""
# conda-forge's pytorch becomes CPU or CUDA by the `__cuda` of the machine that solves, and a login node has no GPU.
TORCH = "      # torch of the package index is the CUDA build on Linux, also where the installing node has no GPU\n"
# Snakemake runs it, once the environment of the same name is made, as `python -m pip` of that environment.
WITHOUT_WINDOWS = """\
#!/usr/bin/env bash
# mmcv asks for the OpenCV with windows, which needs libGL and lies in the same folder as the one without. The one that
# is installed last is imported, and a compute node has no libGL: this installs the other one once more.
# Written by `make pins`.
set -euo pipefail
python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall opencv-python-headless{pin}
"""
LINUX = ' ; sys_platform == "linux"'
CUDA = re.compile(r"(nvidia|cuda)-|triton$")


def conda_part(env: Path) -> dict[str, str]:
    """
    Version by package of what conda itself installs.

    Raises
    ------
    ValueError
        If conda could not read the file, or a version is open; names the file.
    """
    content = yaml.safe_load(env.read_text())
    if list(content) != ["name", "channels", "dependencies"]:
        raise ValueError(f"{env.name}: wants name, channels and dependencies, in this order, has {', '.join(content)}")
    found = {}
    for line in filter(lambda line: isinstance(line, str), content["dependencies"]):
        try:
            spec = MatchSpec(line, strict=True)
        except Exception as error:
            raise ValueError(f"{env.name}: conda cannot read {line!r}: {error}") from None
        found[spec.name.normalized] = str(spec.version).removesuffix(".*")
    if loose := [name for name, version in found.items() if not re.fullmatch(r"\d+(\.\d+)+", version)]:
        raise ValueError(f"{env.name}: no exact version of {', '.join(loose)}")
    return found


def resolve(env: Path, lines: list[str], *options: str) -> dict[str, dict]:
    """
    Metadata by package of what pip would install for these requirements of an environment, were it empty.

    Raises
    ------
    ValueError
        If pip finds no such packages, or they exclude each other; names the file, with pip's last word.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, report = Path(folder) / "requirements.txt", Path(folder) / "report.json"
        asked.write_text("\n".join(lines))
        command = [sys.executable, *["-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]]
        command += ["--report", report, "--requirement", asked, *options]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise ValueError(f"{env.name}: pip cannot resolve it: {answer.stderr.strip().splitlines()[-1]}")
        found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return {normal(item["name"]): item for item in found}


def text(env: Path, found: dict[str, dict]) -> str:
    """An environment's file, given what pip would install for it."""

    def requires(name: str) -> list[str]:
        return found[normal(name)].get("requires_dist", [])

    lock, first = requirements("requirements.lock"), direct(env)
    every, anywhere = required(first, requires), required(first, requires, linux=False)
    lines = [HEAD.format(stage=env.stem, pip=PIP), TORCH if "torch" in every else ""]
    lines += [f"      - {name}{lock[name]}\n" for name in sorted(first)]
    lines += ["      # what those need\n"]
    for name in sorted(every - first):
        lines.append(f"      - {name}{lock[name]}{'' if name in anywhere else LINUX}\n")
    return "".join(lines)


def post_deploy(env: Path) -> tuple[Path, str]:
    """The script that Snakemake runs in a new environment, and what it should hold: nothing if there should be none."""
    needed = "opencv-python" in pins(pip_part(env))
    lines = WITHOUT_WINDOWS.format(pin=requirements("requirements.lock")["opencv-python-headless"])
    return env.with_suffix(".post-deploy.sh"), lines if needed else ""


def write(env: Path) -> str:
    """Write an environment's file, and what is to be run in it."""
    lock = requirements("requirements.lock")
    lines = [name + lock[name] for name in direct(env)]
    env.write_text(text(env, resolve(env, lines, "--constraint", str(ROOT / "requirements.lock"))))
    script, content = post_deploy(env)
    if content:
        script.write_text(content)
    return f"{env.name} written"


def check(env: Path) -> str:
    """
    Check an environment's file; gives what it brings.

    Raises
    ------
    ValueError
        If something in it cannot be read, floats, is superfluous or brings the wrong build; names the file.
    """
    asked = pins(pip_part(env))
    conda_part(env)
    found = resolve(env, pip_part(env))
    if floating := sorted(set(found) - set(asked)):
        raise ValueError(f"{env.name}: no pin for {', '.join(floating)}: make pins")
    cuda = sorted(name for name in found if CUDA.match(name))
    if bool(cuda) != ("torch" in found) or "+" in found.get("torch", {}).get("version", ""):
        raise ValueError(f"{env.name}: torch without CUDA, or CUDA without torch")
    if env.read_text() != text(env, found):
        raise ValueError(f"{env.name}: not what the imports and requirements.lock say: make pins")
    script, content = post_deploy(env)
    if content and (not script.exists() or script.read_text() != content):
        raise ValueError(f"{script.name}: does not install the OpenCV without windows last: make pins")
    build = f"CUDA build of torch {found['torch']['version']}" if cuda else "no torch"
    return f"{env.name:16} {len(found):4} packages {bytes_of(found) / 1e9:5.1f} GB  {build}"


@contextmanager
def pip_of_conda() -> Iterator[None]:
    """Runs `python -m pip` as the version that the files name: older ones download whole packages to resolve."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, f"pip=={PIP}"]
        subprocess.run(command, stderr=subprocess.DEVNULL, check=True)
        os.environ |= {"PYTHONPATH": folder, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        yield


def main() -> None:
    """Check or write every environment."""
    with pip_of_conda(), ThreadPoolExecutor(2) as pool:
        for line in pool.map(write if "--write" in sys.argv else check, ENVS):
            print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(str(error))
