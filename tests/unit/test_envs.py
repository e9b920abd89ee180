"""Environments: each stage's holds what its scripts import, no more, at the pins of requirements.txt."""

import re

import pytest
import yaml

from imports import ROOT, SCRIPTS, packages

# In no environment: built by hand with CUDA where it is wanted; under a licence (AGPL) that not everyone can take.
OPTIONAL = {"ripserplusplus", "giotto-ph"}
ENVS = sorted((ROOT / "envs").glob("*.yaml"))


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines):
    """Version by package, with the operator in front, of lines like `name==1.0`."""
    found = {}
    for line in lines:
        text = line.split("#")[0].strip()
        if text:
            name, operator, version = re.fullmatch(r"([\w.-]+?)(={2,3})([\w.+!]+)", text).groups()
            assert normal(name) not in found, name
            found[normal(name)] = operator + version
    return found


def requirements(file="requirements.txt"):
    return pins((ROOT / file).read_text().splitlines())


def environment(path):
    """Pins of an environment."""
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    return pins(next(entry["pip"] for entry in dependencies if isinstance(entry, dict)))


def rules():
    """(rule, environment, script) of all rules with a script."""
    found = []
    for file in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for text in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            name = text.split(":")[0]
            conda = re.search(r'^    conda:\s+"(.+)"', text, re.MULTILINE)
            script = re.search(r'^    script:\s+"(.+)"', text, re.MULTILINE)
            assert conda and script, f"rule {name} lacks conda or script"
            found.append((name, (file.parent / conda[1]).resolve(), (file.parent / script[1]).resolve()))
    return found


def test_there_are_rules():
    assert len(rules()) >= 10


@pytest.mark.parametrize(("rule", "env", "script"), rules(), ids=[rule for rule, _, _ in rules()])
def test_the_environment_of_a_rule_holds_what_its_script_imports(rule, env, script):
    assert env.is_file() and env.parent == ROOT / "envs"
    assert script.is_file() and script.parent == SCRIPTS
    assert packages(script) - OPTIONAL - set(environment(env)) == set()


@pytest.mark.parametrize("env", ENVS, ids=lambda path: path.stem)
def test_an_environment_holds_nothing_else(env):
    needed = {name for _, file, script in rules() if file == env for name in packages(script)}
    assert needed, "no rule uses it"
    if "torch" in needed:
        needed.add("torchvision")
    assert set(environment(env)) - needed == set()


@pytest.mark.parametrize("env", ENVS, ids=lambda path: path.stem)
def test_pins_are_those_of_the_requirements(env):
    wanted = requirements()
    assert {name: pin for name, pin in environment(env).items() if wanted.get(name) != pin} == {}


@pytest.mark.parametrize("env", ENVS, ids=lambda path: path.stem)
def test_environments_have_the_python_that_the_project_supports(env):
    content = yaml.safe_load(env.read_text())
    assert content["name"] == f"mettle-{env.stem}"
    assert content["channels"] == ["conda-forge", "nodefaults"]
    assert content["dependencies"][0] in ("python=3.11", "python=3.12")


def test_requirements_are_exact_and_torch_takes_no_local_build():
    found = requirements()  # raises where a line has no == or ===
    assert {name for name, pin in found.items() if pin.startswith("===")} == {"torch", "torchvision"}


def test_requirements_hold_what_the_scripts_import():
    needed = set().union(*(packages(path) for path in SCRIPTS.glob("*.py")))
    assert needed - OPTIONAL - set(requirements()) == set()


def test_the_lock_agrees_with_the_requirements():
    lock = requirements("requirements.lock")
    assert {name: (pin, lock.get(name)) for name, pin in requirements().items() if lock.get(name) != pin} == {}
    assert len(lock) > len(requirements())
