"""Engines that compute on a GPU: their measures have rules of their own, and what they lack is said before any job."""

import re
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest

from imports import ROOT
from mettle import cuda, schema
from mettle.measures import rtd
from mettle.plan import Plan, engines

CELL = {"dataset": "scenes", "set": "group", "images": "natural", "measure": "rtd_gpu", "model": "vgg5-scenes_eps0-s0"}


@pytest.fixture(scope="module")
def config():
    found = schema.read_yaml(ROOT / "config" / "config.yaml")
    measures = found["compare"]["measures"] | {"rtd_gpu": {"method": "rtd", "engine": "ripser++"}}
    return found | {"compare": found["compare"] | {"measures": measures}}


@pytest.fixture
def installed(monkeypatch):
    package = ModuleType("ripserplusplus")
    package.__spec__ = ModuleSpec("ripserplusplus", None)
    monkeypatch.setitem(sys.modules, "ripserplusplus", package)


@pytest.fixture
def absent(monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)


def run(conda=False, nodes=100):
    """What Snakemake says of a run: with --jobs where jobs run elsewhere."""
    deployment = SimpleNamespace(deployment_method={"conda"} if conda else set())
    return SimpleNamespace(deployment_settings=deployment, resource_settings=SimpleNamespace(nodes=nodes))


def test_measures_are_made_by_one_rule_each(config):
    plan = Plan(config)
    assert plan.on_gpu == ["rtd_gpu"] and set(plan.on_cpu) | {"rtd_gpu"} == set(plan.measures)
    assert not re.fullmatch(plan.pattern(plan.on_cpu), "rtd_gpu") and re.fullmatch(plan.pattern(plan.on_gpu), "rtd_gpu")


def test_every_engine_with_a_package_is_one_of_rtd():
    assert set(engines.PACKAGES) <= set(rtd.BARCODES)
    assert (ROOT / engines.SCRIPT).is_file()


def test_inputs_are_those_of_the_cpu(config, installed):
    plan = Plan(config)
    assert plan.represented_for_gpu(CELL) == plan.represented(CELL | {"measure": "rtd"}) != []


def test_a_missing_package_is_told(config, absent):
    message = (
        r"^measure 'rtd_gpu': engine 'ripser\+\+' needs the package ripserplusplus, which is not installed: build it, "
        r"where there is nvcc, by `bash envs/compare_gpu\.post-deploy\.sh`, or add --sdm conda, or use engine auto"
    )
    with pytest.raises(ValueError, match=message):
        Plan(config).represented_for_gpu(CELL)


def test_an_environment_of_its_own_brings_the_package(config, absent):
    assert Plan(config, run(conda=True)).represented_for_gpu(CELL)


def test_a_missing_device_is_told_where_jobs_run_here(config, installed, monkeypatch):
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    assert Plan(config, run()).represented_for_gpu(CELL)
    with pytest.raises(ValueError, match=r"^measure 'rtd_gpu': .* needs a CUDA device, and this machine has none"):
        Plan(config, run(nodes=None)).represented_for_gpu(CELL)
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    assert Plan(config, run(nodes=None)).represented_for_gpu(CELL)
