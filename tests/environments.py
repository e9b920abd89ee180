"""The conda environments: which rules use them, what their files hold and should hold, and a Python with just that."""

import os
import re
import sys
import venv
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as normal

from imports import BEHIND, PACKAGES, ROOT, closure, imports, module_path, own_rules, packages

ENVS = sorted((ROOT / "envs").glob("*.yaml"))
# In no environment: built by hand with CUDA where it is wanted; under a licence (AGPL) that not everyone can take.
OPTIONAL = {"ripserplusplus", "giotto-ph"}
RUNNING = "{}.{}".format(*sys.version_info)
Requires = Callable[[str], list[str] | None]


def rules() -> list[tuple[str, Path, Path]]:
    """Name, environment and script of all rules with a script, those that use another one's included."""
    found = []
    for file in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for text in re.split(r"^rule ", own_rules(file), flags=re.MULTILINE)[1:]:
            name = text.split(":")[0]
            conda = re.search(r'^    conda:\s+"(.+)"', text, re.MULTILINE)
            script = re.search(r'^    script:\s+"(.+)"', text, re.MULTILINE)
            assert conda and script, f"rule {name} lacks conda or script"
            found.append((name, (file.parent / conda[1]).resolve(), (file.parent / script[1]).resolve()))
    of = {name: script for name, _, script in found}
    return found + [(name, env, of[base]) for name, base, env in _derived()]


def _derived() -> list[tuple[str, str, Path]]:
    """Name, base and environment of rules that use another one with an environment of their own."""
    form = r'^use rule (\w+) as (\w+) with:.*?^    conda:\s+"(.+?)"'
    files = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    every = [(file, found) for file in files for found in re.findall(form, file.read_text(), re.MULTILINE | re.DOTALL)]
    return [(name, base, (file.parent / env).resolve()) for file, (base, name, env) in every]


def scripts(env: Path) -> list[Path]:
    """The scripts of the rules that use an environment."""
    return [script for _, used, script in rules() if used == env]


def pins(lines: list[str]) -> dict[str, str]:
    """Version by package, with the operator in front, of lines like `name==1.0`; lines with options are left out."""
    found = {}
    for line in lines:
        text = re.split("[#;]", line)[0].strip()
        if text and not text.startswith("--"):
            name, operator, version = re.fullmatch(r"([\w.-]+?)(={2,3})([\w.+!]+)", text).groups()
            assert normal(name) not in found, name
            found[normal(name)] = operator + version
    return found


REQUIREMENTS = ("requirements.txt", "requirements-extras.txt", "requirements-dev.txt")


def requirements(*files: str) -> dict[str, str]:
    """Pins of requirements files, by default of all that are direct."""
    return pins([line for file in files or REQUIREMENTS for line in (ROOT / file).read_text().splitlines()])


def pip_part(env: Path) -> list[str]:
    """Lines that an environment hands to pip."""
    dependencies = yaml.safe_load(env.read_text())["dependencies"]
    return next(entry["pip"] for entry in dependencies if isinstance(entry, dict))


def direct(env: Path) -> set[str]:
    """Packages that the scripts of an environment import, and torchvision wherever torch is."""
    needed = set().union(*(packages(script) for script in scripts(env))) - OPTIONAL
    return {normal(name) for name in needed | ({"torchvision"} if "torch" in needed else set())}


def controller() -> set[str]:
    """Packages that the Python needs in which Snakemake runs: Snakemake, and what the rule files import of ours."""
    files = [ROOT / "workflow" / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    text = "".join(file.read_text() for file in files)
    found = {"snakemake"}
    for name in re.findall(r"^\s*from (mettle[\w.]*) import", text, re.MULTILINE):
        parts = name.split(".")
        found |= set().union(*(packages(module_path(".".join(parts[: i + 1]))) for i in range(len(parts))))
    return found


def names(script: Path) -> set[str]:
    """Full names of all that a script may import, by its own lines or those of our modules, inside functions too."""
    found = {name for file in closure(script) for name in imports(file)}
    tops = {name: name.split(".")[0] for name in found}
    mine = {name for name, top in tops.items() if not {top, PACKAGES.get(top)} & {*sys.stdlib_module_names, *OPTIONAL}}
    modules = {package: module for module, package in PACKAGES.items()}
    behind = packages(script) & set().union(*BEHIND.values())
    return mine | {modules.get(name, name.replace("-", "_")) for name in behind}


def bytes_of(packages: Iterable[str]) -> int:
    """Size of the files of packages that this Python has."""
    return sum(file.size or 0 for name in packages for file in metadata.files(name))


def required(
    names: set[str], requires: Requires = metadata.requires, linux: bool = True, python: str = RUNNING
) -> set[str]:
    """Packages that these need with a version of Python, directly or not, themselves included.

    Without `linux`, those that any system needs.
    """
    seen, todo = set(), [Requirement(name) for name in names]
    while todo:
        here = todo.pop()
        key = (normal(here.name), frozenset(here.extras))
        if key not in seen:
            seen.add(key)
            needs = [need for need in map(Requirement, requires(here.name) or []) if _holds(need, here.extras, python)]
            todo += [need for need in needs if linux or "platform" not in str(need.marker)]
    return {name for name, _ in seen}


def _holds(need: Requirement, extras: set[str], python: str) -> bool:
    """Whether a requirement of a package counts on this system, for the extras asked of the package."""
    about = {"python_version": python, "python_full_version": f"{python}.0"}
    return need.marker is None or any(need.marker.evaluate(about | {"extra": extra}) for extra in ("", *extras))


def isolate(pinned: dict[str, str], folder: Path) -> Path:
    """
    A new Python with these installed packages and no others, linked file by file; gives its interpreter.

    Raises
    ------
    ValueError
        If a package is installed in another version; names both.
    """
    venv.EnvBuilder(symlinks=True).create(folder)
    site = folder / "lib" / "python{}.{}".format(*sys.version_info) / "site-packages"
    for name, pin in pinned.items():
        if (version := metadata.version(name)) != pin.strip("="):
            raise ValueError(f"{name} {version} is installed, the pin is {pin}: make dev")
        files = {file for file in metadata.files(name) if ".." not in file.parts and _runs(file)}
        for parent in {file.parent for file in files}:
            (site / parent).mkdir(parents=True, exist_ok=True)
        for file in files:
            _link(file.locate(), site / file)
    return folder / "bin" / "python"


def _runs(file: Path) -> bool:
    """Whether a file is for running code: no header, no stub but those that lazy_loader reads."""
    return file.suffix != ".h" and (file.suffix != ".pyi" or file.stem == "__init__")


def _link(source: Path, target: Path) -> None:
    """A second name of a file; a symbolic link, several times slower, where the folders are on two disks.

    The two packages of OpenCV share a folder, so a file may be there already.
    """
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        target.symlink_to(source)
