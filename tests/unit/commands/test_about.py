"""`make about`: the facts of an installation that an issue asks for."""

import builtins
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

import mettle
from imports import ROOT
from mettle import files, flow
from mettle.commands import about


def test_what_is_told():
    facts = about.about(profile="profiles/slurm")
    assert list(facts) == [
        *("mettle", "commit", "revisions", "python", "system", "processor", "gpu", "packages", "not locked"),
        *("config", "profile"),
    ]
    assert facts["mettle"] == mettle.__version__ and facts["commit"] == flow.commit()
    assert f"torch {torch.__version__.partition('+')[0]}" in facts["packages"] and "snakemake 9." in facts["packages"]
    assert facts["profile"].startswith("default: SHA-256 ") and "; slurm: SHA-256 " in facts["profile"]
    lines = about.text(facts).splitlines()
    assert {line[:12].strip() for line in lines} - {""} == {f"{name}:" for name in facts}
    assert max(map(len, lines)) <= 120


def test_the_digest_of_a_configuration_is_that_of_its_values(tmp_path):
    def told(text):
        (tmp_path / "my.yaml").write_text(text)
        return about.about([tmp_path / "my.yaml"])["config"]

    plain = about.about()["config"].partition(": ")[2]
    assert told("seed: 0  # the default\n") == f"config/config.yaml + my.yaml: {plain}"
    assert told("seed: 1\n").partition(": ")[2] != plain
    assert told("sead: 1\n").endswith("unknown key 'sead': did you mean 'seed'?")
    missing = about.about([tmp_path / "none.yaml"])["config"]
    assert missing.endswith("none.yaml does not exist")


def test_a_profile_that_is_not_there_is_told():
    assert about.about(profile="nowhere")["profile"].endswith("; nowhere: missing")


def test_a_package_that_is_not_that_of_the_lock_is_told(tmp_path, monkeypatch):
    lines = ["# comment", "numpy==0.1", "no-such-package==1.0", f"torch==={torch.__version__.partition('+')[0]}"]
    (tmp_path / "requirements.lock").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(files, "HOME", tmp_path)
    facts = about.about()
    import numpy

    assert facts["not locked"] == f"numpy {numpy.__version__} (locked: 0.1)"
    assert facts["revisions"] == "missing"


def test_gpus_are_those_of_torch(monkeypatch):
    card = SimpleNamespace(name="H200", total_memory=150e9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: card)
    assert about.about()["gpu"] == f"H200 (150 GB), H200 (150 GB), CUDA {torch.version.cuda}"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert about.about()["gpu"].startswith("none that torch can use")


@pytest.mark.parametrize("error", [ImportError, OSError])
def test_a_torch_that_cannot_be_imported_is_told(monkeypatch, error):
    real = builtins.__import__

    def broken(name, *arguments, **more):
        if name == "torch":
            raise error("libcudart.so.13:\n  cannot open")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", broken)
    assert about.about()["gpu"] == "unknown, torch cannot be imported: libcudart.so.13: cannot open"


def test_the_command_prints_it_and_nothing_private(tmp_path):
    secret = "hunter2-8f3a"
    env = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts"), "WANDB_API_KEY": secret, "HOME": "/home/eve"}
    command = [sys.executable, "-m", "mettle.commands.about", "--config", "config/paper.yaml", "--profile", "slurm"]
    answer = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert answer.returncode == 0 and answer.stdout.startswith("mettle:     "), answer.stderr
    assert "config/config.yaml + paper.yaml: SHA-256 " in answer.stdout
    private = [secret, "eve", str(ROOT), sys.prefix, os.uname().nodename]
    assert not [word for word in private if word in answer.stdout]
