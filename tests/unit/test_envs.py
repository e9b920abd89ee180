"""Environments: each stage's holds what its scripts import and what that needs, no more, at the pins of the lock."""

import re
import sys

import pytest
import yaml
from rattler import MatchSpec

from environments import ENVS, OPTIONAL, REQUIREMENTS, direct, pins, pip_part, required, requirements, rules, scripts
from imports import ADAPTERS, ROOT, SCRIPTS, packages

each = pytest.mark.parametrize("env", ENVS, ids=lambda path: path.stem)


sys.path.append(str(ROOT / "envs"))
import check  # noqa: E402 (the path comes first)


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
    assert needed - OPTIONAL - set(requirements("requirements.txt", "requirements-extras.txt")) == set()


@pytest.mark.parametrize("file", REQUIREMENTS)
def test_every_requirement_has_a_comment_that_says_what_needs_it(file):
    about, *groups = (ROOT / file).read_text().strip().split("\n\n")
    assert not pins(about.splitlines())
    assert all(group.startswith("# ") for group in groups)
    assert sum(len(pins(group.splitlines())) for group in groups) == len(requirements(file))


def test_the_lock_agrees_with_the_requirements():
    lock = requirements("requirements.lock")
    assert {name: (pin, lock.get(name)) for name, pin in requirements().items() if lock.get(name) != pin} == {}
    assert len(lock) > len(requirements())


def test_opencv_is_the_one_without_windows():
    # A compute node has no libGL; both packages lie in one folder, and the one that is installed last is imported.
    import cv2

    assert re.search(r"GUI: +(\w+)", cv2.getBuildInformation())[1] == "NONE", "make dev"


@each
def test_an_environment_with_mmcv_ends_with_the_opencv_without_windows(env):
    script, content = check.post_deploy(env)
    assert bool(content) == ("onedl-mmcv" in environment(env)) == ("opencv-python" in environment(env))
    assert script.exists() == (bool(content) or env.stem == "compare_gpu")
    if content:
        assert script.read_text() == content
        assert content.endswith(f"opencv-python-headless{environment(env)['opencv-python-headless']}\n")


def test_rules_that_evaluate_models_of_any_task_have_the_packages_of_all():
    needed = set().union(*(packages(path) for path in ADAPTERS)) | {"onedl-mmcv"}
    assert {"onedl-mmsegmentation", "onedl-mmdetection"} < needed
    for name in ("attack", "corrupt"):
        assert needed <= set(environment(ROOT / "envs" / f"{name}.yaml"))


# What `make envs` says of a file that is wrong


def test_a_script_that_is_missing_is_named(monkeypatch):
    env = next(path for path in ENVS if path.stem == "transfer")
    found = {name: {"version": pin.strip("=")} for name, pin in environment(env).items()}
    monkeypatch.setattr(check, "resolve", lambda *_: found)
    monkeypatch.setattr(check, "text", lambda *_: env.read_text())
    monkeypatch.setattr(check, "post_deploy", lambda env: (env.with_suffix(".nowhere.sh"), "content"))
    with pytest.raises(ValueError, match=r"^transfer.nowhere.sh: does not install the OpenCV without windows last"):
        check.check(env)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("pip=25.2", "pip >=25,,<", r"conda cannot read 'pip >=25,,<': unable to parse version spec"),
        ("pip=25.2", "pip", r"no exact version of pip$"),
        ("python=3.11.14", "python>=3.11", r"no exact version of python$"),
        (
            "channels:",
            "canals:",
            r"wants name, channels and dependencies, in this order, has name, canals, dependencies$",
        ),
    ],
)
def test_what_conda_could_not_read_is_named(tmp_path, old, new, words):
    (tmp_path / "plot.yaml").write_text(ENVS[0].read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=rf"^plot\.yaml: {words}"):
        check.conda_part(tmp_path / "plot.yaml")


def without_cuda(found):
    return {name: item for name, item in found.items() if not check.CUDA.match(name)}


def local_build(found):
    return found | {"torch": {"version": "2.13.0+cpu"}}


@pytest.mark.parametrize(
    ("change", "text", "words"),
    [
        (lambda found: found | {"foolbox": {"version": "3.3.4"}}, "", "no pin for foolbox: make pins"),
        (without_cuda, "", "torch without CUDA, or CUDA without torch"),
        (local_build, "", "torch without CUDA, or CUDA without torch"),
        (dict, "other", "not what the imports and requirements.lock say: make pins"),
    ],
)
def test_what_pip_would_install_otherwise_is_named(monkeypatch, change, text, words):
    env = next(path for path in ENVS if path.stem == "represent")
    found = {name: {"version": pin.strip("=")} for name, pin in environment(env).items()}
    monkeypatch.setattr(check, "resolve", lambda *_: change(found))
    monkeypatch.setattr(check, "text", lambda *_: text or env.read_text())
    with pytest.raises(ValueError, match=rf"^represent\.yaml: {words}$"):
        check.check(env)


def test_what_pip_cannot_resolve_is_named():
    # No index is asked: there is no such folder.
    with pytest.raises(
        ValueError, match=r"^plot\.yaml: pip cannot resolve it: ERROR: No matching distribution .*numpy"
    ):
        check.resolve(
            ROOT / "envs" / "plot.yaml", ["numpy==2.2.6"], "--no-index", "--find-links", "/nowhere", "--isolated"
        )
