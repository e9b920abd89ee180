"""Hashes of packages: requirements.hashes is about the lock, and make refuses a file whose hash is another one."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata

import pytest

from environments import required, requirements
from imports import ROOT

sys.path.append(str(ROOT / "envs"))
import hashes

LINE = re.compile(r"([\w.-]+?)(={2,3}\S+)((?: --hash=sha256:[0-9a-f]{64})+) # ([a-z ]+)")


def lines():
    """Pin, hashes and targets of every package."""
    text = hashes.HASHES.read_text(encoding="utf-8")
    found = [LINE.fullmatch(line).groups() for line in text.splitlines() if not line.startswith("#")]
    assert len({name for name, *_ in found}) == len(found)
    return {name: (pin, digests.split(), targets.split()) for name, pin, digests, targets in found}


def needs(name):
    """What an installed package needs; networks of `make reference` are installed by that alone, and need nothing."""
    try:
        return metadata.requires(name)
    except metadata.PackageNotFoundError:
        return []


def test_every_package_of_the_lock_is_there_at_its_version():
    pins = requirements("requirements.lock") | requirements(hashes.TARGETS["reference"])
    assert {name: pin for name, (pin, _, _) in lines().items()} == pins


def test_a_package_has_one_file_for_each_python_at_most():
    assert {len(digests) for _, digests, _ in lines().values()} == {1, 2}
    every = [digest for _, digests, _ in lines().values() for digest in digests]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("target", hashes.TARGETS)
def test_a_target_installs_what_its_packages_need_and_no_more(target):
    first = set(requirements(hashes.TARGETS[target]))
    if target == "dev":
        first |= set(requirements(hashes.TARGETS["extras"]))
    needed = set().union(*(required(first, needs, python=python) for python in hashes.PYTHONS))
    below = {"env": [], "extras": ["env"], "dev": ["env", "extras"], "reference": ["env"]}[target]
    installed = {name for name, (_, _, targets) in lines().items() if {target, *below} & set(targets)}
    own = {name for name, (_, _, targets) in lines().items() if target in targets}
    assert needed <= installed and own <= needed


def item(name, digest, *requires):
    about = {"metadata": {"name": name, "requires_dist": list(requires)}}
    return about | {"download_info": {"archive_info": {"hashes": {"sha256": digest * 64}}}}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A project with few requirements, and what an index has of them."""
    texts = {"": "one==1.0\n", "-extras": "two==2.0\n", "-dev": "--requirement requirements-extras.txt\n"}
    for ending, text in (texts | {"-reference": "net==0.1\ntwo==2.0\n"}).items():
        (tmp_path / f"requirements{ending}.txt").write_text(text)
    (tmp_path / "requirements.lock").write_text("one==1.0\ntwo===2.0\nold==3.0\n")
    for module in ("hashes", "environments"):
        monkeypatch.setattr(sys.modules[module], "ROOT", tmp_path)
    same = {"two": item("two", "b"), "net": item("net", "c", "two; python_version >= '3.13'"), "old": item("old", "d")}
    old = 'old; python_version < "3.12"'
    return {"3.11": same | {"one": item("one", "1", old)}, "3.12": same | {"one": item("one", "2", old)}}


def test_the_file_has_every_hash_and_target(small):
    text = hashes.text(small)
    assert text.startswith(hashes.HEAD)
    assert text.removeprefix(hashes.HEAD).splitlines() == [
        f"net==0.1 --hash=sha256:{'c' * 64} # reference",
        f"old==3.0 --hash=sha256:{'d' * 64} # env",
        f"one==1.0 --hash=sha256:{'1' * 64} --hash=sha256:{'2' * 64} # env",
        f"two===2.0 --hash=sha256:{'b' * 64} # extras reference",
    ]


def test_a_package_that_the_lock_lacks_is_named(small):
    small["3.12"]["one"]["metadata"]["requires_dist"].append("new")
    with pytest.raises(ValueError, match=r"^requirements\.lock lacks new: see CONTRIBUTING\.md, Pins$"):
        hashes.text(small)


# What make does with it


def wheel(folder):
    """A package of one empty module; its SHA-256."""
    about = "toy-1.0.dist-info"
    files = {"toy.py": "", f"{about}/METADATA": "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n"}
    files[f"{about}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    digests = {name: hashlib.sha256(text.encode()).digest() for name, text in files.items()}
    encoded = {name: base64.urlsafe_b64encode(digest).rstrip(b"=").decode() for name, digest in digests.items()}
    record = [f"{name},sha256={encoded[name]},{len(text)}" for name, text in files.items()]
    files[f"{about}/RECORD"] = "\n".join([*record, f"{about}/RECORD,,", ""])
    with zipfile.ZipFile(folder / "toy-1.0-py3-none-any.whl", "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    return hashlib.sha256((folder / "toy-1.0-py3-none-any.whl").read_bytes()).hexdigest()


def make_env(folder, digest, *options):
    """`make env` of a project whose only package has this hash, from a folder instead of an index."""
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements.txt").write_text("toy==1.0\n")
    (folder / "requirements.lock").write_text("toy==1.0\n")
    (folder / "requirements.hashes").write_text(f"other==1.0 --hash=sha256:{'0' * 64} # dev\n")
    with (folder / "requirements.hashes").open("a") as file:
        file.write(f"toy==1.0 --hash=sha256:{digest} # env\n")
    env = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull}
    command = ["make", "--silent", "env", f"PYTHON={sys.executable}", *options]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def installed(folder):
    return bool(list((folder / ".venv").glob("lib/*/site-packages/toy.py")))


@pytest.mark.parametrize("options", [["HASHES=yes"], ["HASHES=no"]])
def test_make_installs_a_file_whose_hash_is_known(tmp_path, options):
    answer = make_env(tmp_path, wheel(tmp_path), *options)
    assert answer.returncode == 0, answer.stderr
    assert installed(tmp_path) and (tmp_path / ".venv/ready").exists()


def test_make_refuses_a_file_with_another_hash(tmp_path):
    found = wheel(tmp_path)
    answer = make_env(tmp_path, "0" * 64, "HASHES=yes")
    assert answer.returncode and "THESE PACKAGES DO NOT MATCH THE HASHES" in answer.stderr and found in answer.stderr
    assert not installed(tmp_path) and not (tmp_path / ".venv/ready").exists()
    answer = make_env(tmp_path, "0" * 64, "HASHES=no")
    assert answer.returncode == 0 and installed(tmp_path), answer.stderr


@pytest.mark.parametrize(("kernel", "machine", "checked"), [("Linux", "x86_64", 1), ("Linux", "aarch64", 0)])
def test_hashes_are_checked_on_the_system_that_they_are_of(tmp_path, kernel, machine, checked):
    program = tmp_path / "uname"
    program.write_text(f'#!/bin/sh\n[ "$1" = -s ] && echo {kernel} || echo {machine}\n')
    program.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["make", "--dry-run", "--always-make", "env"]
    answer = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert ("--require-hashes" in answer.stdout) == bool(checked)
    assert ("--constraint requirements.lock" in answer.stdout) != bool(checked)
