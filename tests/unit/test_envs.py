"""Environments: each stage's holds what its scripts import and what that needs, no more, at the pins of the lock."""

import pytest
import yaml
from rattler import MatchSpec

from environments import ENVS, OPTIONAL, direct, pins, pip_part, required, requirements, rules, scripts
from imports import ROOT, SCRIPTS, packages

each = pytest.mark.parametrize("env", ENVS, ids=lambda path: path.stem)


def environment(path):
    """Pins of an environment."""
    return pins(pip_part(path))


def test_there_are_rules():
    assert len(rules()) >= 10


@pytest.mark.parametrize(("rule", "env", "script"), rules(), ids=[rule for rule, _, _ in rules()])
def test_the_environment_of_a_rule_holds_what_its_script_imports(rule, env, script):
    assert env.is_file() and env.parent == ROOT / "envs"
    assert script.is_file() and script.parent == SCRIPTS
    assert packages(script) - OPTIONAL - set(environment(env)) == set()


@each
def test_an_environment_holds_nothing_else(env):
    # That it holds all that the direct packages need is for pip to say: `make envs`.
    assert scripts(env), "no rule uses it"
    assert set(environment(env)) - required(direct(env)) == set()


@each
def test_pins_are_those_of_the_lock(env):
    lock = requirements("requirements.lock")
    assert {name: pin for name, pin in environment(env).items() if lock.get(name) != pin} == {}


@each
def test_conda_reads_the_file_and_installs_only_python_and_pip(env):
    content = yaml.safe_load(env.read_text())
    assert list(content) == ["name", "channels", "dependencies"] and content["name"] == f"mettle-{env.stem}"
    assert content["channels"] == ["conda-forge", "nodefaults"]
    found = [MatchSpec(line, strict=True) for line in content["dependencies"] if isinstance(line, str)]
    assert [spec.name.normalized for spec in found] == ["python", "pip"]
    assert str(found[0].version).startswith(("3.11.", "3.12.")) and all(spec.version for spec in found)


@each
def test_the_cuda_build_is_where_torch_is(env):
    cuda = {name for name in environment(env) if name.startswith("nvidia-")}
    assert bool(cuda) == ("torch" in environment(env))


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
