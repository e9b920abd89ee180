"""Extras: a configuration that wants a package that is not installed is told so, before any job, and how to get it."""

import ast

import pytest

from environments import requirements
from imports import PACKAGES, ROOT
from mettle.plan import extras, sources
from mettle.plan.extras import EXTRAS, UNLISTED
from workplace import ATTACK, Workplace

MODEL = "vgg5-plain-s0"
HOW = r"not installed: `make extras`, or `pip install {} --constraint requirements\.lock`$"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A workplace in a Python that lacks every extra."""
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    return Workplace(tmp_path)


DATASETS = """\
dataset\ttask\tclasses\tsize\treader\tsource\ttrain\ttest
ten\tclassification\t10\t32\tdigits\t\ttrain\ttest
scenery\tclassification\t3\t0\ttfds/scenery\tresources/tfds\t\tval
bucket\tclassification\t3\t0\tfolder\ts3://mine/photos.tar\t\tval
"""


@pytest.fixture
def plan(place):
    """A plan with something for every extra but loggers."""
    (place.folder / "datasets.tsv").write_text(DATASETS)
    attacks = {"weak": ATTACK, "theirs": ATTACK | {"method": "apgd", "engine": "pyautoattack"}}
    measures = {"bars": {"method": "rtd", "engine": "ripser"}, "agpl": {"method": "rtd", "engine": "giotto"}, "cka": {}}
    return place.plan(attack={"attacks": attacks}, compare={"measures": measures})


@pytest.mark.parametrize("logger", ["tensorboard", "wandb"])
def test_a_logger_is_asked_for_when_the_configuration_is_read(place, logger):
    with pytest.raises(
        ValueError, match=f"^configuration: train.loggers: '{logger}' needs the package {logger}, "
    ) as told:
        place.plan(train={"loggers": [logger]})
    assert str(told.value).endswith(
        f"not installed: `make extras`, or `pip install {logger} --constraint requirements.lock`"
    )


@pytest.mark.parametrize(
    ("asks", "what"),
    [
        (lambda plan: plan.attack({"model": MODEL, "attack": "theirs"}), "attack 'theirs': engine 'pyautoattack'"),
        (lambda plan: plan.measure({"measure": "bars"}), "measure 'bars': engine 'ripser'"),
        (
            lambda plan: plan.dataset_source({"dataset": "scenery", "split": "val"}),
            "row 'scenery': reader 'tfds/scenery'",
        ),
        (lambda plan: plan.published_row({"dataset": "ten"}), "a data set for TFDS"),
        (
            lambda plan: plan.address({"file": sources.parse("s3://mine/photos.tar", "").file}),
            "row 'bucket': the address s3://mine/photos.tar",
        ),
    ],
)
def test_a_job_that_needs_an_extra_asks_for_it_and_conda_brings_it(plan, asks, what):
    with pytest.raises(ValueError, match=f"{what} needs the packages? .* not installed: `make extras`, or `pip"):
        asks(plan)
    plan.conda = True
    assert asks(plan)


def test_what_needs_no_extra_asks_for_none(plan):
    assert plan.attack({"model": MODEL, "attack": "weak"}) and plan.measure({"measure": "cka"})
    assert plan.dataset_source({"dataset": "ten", "split": "test"}) == []


def test_an_engine_that_no_requirement_lists_is_asked_for_by_pip_alone_with_conda_too(plan):
    plan.conda = True
    with pytest.raises(
        ValueError, match=r"needs the package giotto-ph, which is not installed: `pip install giotto-ph "
    ):
        plan.measure({"measure": "agpl"})


def test_several_packages_are_named_together(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda module: None if module.startswith("a") else module)
    monkeypatch.setitem(EXTRAS, "three", {"a-b": "a_b", "a-c": "a_c", "d": "d"})
    with pytest.raises(ValueError, match="^this needs the packages a-b and a-c, which are " + HOW.format("a-b a-c")):
        extras.need("three", "this", conda=False)


def test_extras_are_those_of_the_requirements():
    listed = {name for key, packages in EXTRAS.items() if key not in UNLISTED for name in packages}
    listed = {name.replace("_", "-") for name in listed}
    assert listed | {"snakemake-storage-plugin-fs"} == set(
        requirements("requirements-extras.txt")
    )  # asked of Snakemake alone


def imported_first(path):
    """Packages that a file imports as soon as it is imported itself."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_no_module_imports_an_extra_before_it_is_needed():
    found = {name.split(".")[0] for path in (ROOT / "workflow").rglob("*.py") for name in imported_first(path)}
    assert "torch" in found
    modules = {module for packages in EXTRAS.values() for module in packages.values()}
    assert not found & modules
    known = {PACKAGES.get(name, name).lower().replace("_", "-") for name in found}
    assert not known & (set(requirements("requirements-dev.txt")) | set(requirements("requirements-extras.txt")))
