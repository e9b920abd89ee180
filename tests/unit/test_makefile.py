"""`make clean`: nothing that was made goes without a yes; and commands that call the library."""

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imports import ROOT


@pytest.fixture
def folder(tmp_path):
    """A folder in which two models were trained."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("results/train/a", "results/train/b", ".venv"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def clean(folder, *arguments, stdin=subprocess.DEVNULL):
    command = ["make", "--silent", "clean", *arguments]
    answer = subprocess.run(command, cwd=folder, stdin=stdin, capture_output=True, text=True, check=False)
    return answer.returncode, answer.stdout, answer.stderr


def test_without_a_terminal_nothing_is_removed_unless_it_is_told_to(folder):
    code, out, err = clean(folder)
    assert code and "2 trained or converted models" in out and "make clean YES=1" in err
    assert (folder / "results" / "train" / "a").exists()
    code, out, err = clean(folder, "YES=1")
    assert code == 0 and "total" in out and not err
    assert sorted(path.name for path in folder.iterdir()) == [".venv", "Makefile"]
    assert clean(folder) == (0, "Nothing has been made.\n", "")


@pytest.mark.parametrize(("answer", "left"), [("y", False), ("n", True), ("", True), ("yes please", True)])
def test_at_a_terminal_it_asks(folder, answer, left):
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    code, out, _ = clean(folder, stdin=theirs)
    assert "Remove all of it? [y/N]" in out and (folder / "results").exists() == left == bool(code)
    for end in (ours, theirs):
        os.close(end)


def test_make_env_lets_any_folder_import_mettle(tmp_path):
    folder = tmp_path / "a clone"
    (folder / "workflow").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "workflow" / "scripts").symlink_to(ROOT / "workflow" / "scripts")
    for name in ("requirements.txt", "requirements.lock", "requirements.hashes"):
        (folder / name).touch()  # packages are not what this is about
    subprocess.run(["make", "--silent", "env", f"PYTHON={sys.executable}"], cwd=folder, check=True)
    command = [folder / ".venv/bin/python", "-c", "import mettle; print(mettle.__file__)"]
    answer = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == str(folder / "workflow" / "scripts" / "mettle" / "__init__.py")


def make(*arguments):
    """A command of the project itself, with this Python as its environment, into which `make env` has put mettle."""
    folder = os.path.relpath(Path(sys.executable).parent, ROOT)  # no space in it, wherever the clone lies
    command = ["make", "--silent", "--old-file=.venv/ready", f"BIN={folder}", *arguments]
    env = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_make_checksums_calls_the_library(tmp_path):
    (tmp_path / "net.pt").write_bytes(b"weights")
    sheet = tmp_path / "models.tsv"
    head = "model\tdataset\tarch\trecipe\tthreat\teps\tseed\tsource\tsha256"
    sheet.write_text(f"{head}\na-r-s0\tdigits\ta\tr\tnone\t0\t0\t{tmp_path}/net.pt\n")
    answer = make("checksums", f"SHEETS={sheet}")
    assert answer.returncode == 0, answer.stderr
    assert f"{sheet}, line 2: " in answer.stdout and f" of {tmp_path}/net.pt" in answer.stdout


def test_make_profile_calls_the_library(tmp_path):
    answer = make("profile", "ARCH=resnet8", "SIZE=32", "CLASSES=10", "BATCH=2", "WARM=0", "REPEATS=1", "STEPS=1 2")
    assert answer.returncode == 0, answer.stderr
    assert [line.split()[0] for line in answer.stdout.splitlines()[-4:]] == ["pgd1", "pgd2", "trades1", "trades2"]


def test_git_keeps_every_file_that_targets_and_configurations_name():
    """A file that git ignores is there for its author alone."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    kept, named = set(listed.splitlines()), set()
    for source in ("Makefile", *(path for path in kept if re.fullmatch(r"(config|profiles)/.*\.(yaml|tsv)", path))):
        text = (ROOT / source).read_text(encoding="utf-8")
        named |= {word.strip(".,;:") for word in re.findall(r"(?<![\w/])(?:[\w.-]+/)+[\w.-]+", text)}
    there = {path for path in named if (ROOT / path).is_file() and not path.startswith((".venv", "results"))}
    assert len(there) > 20 and there <= kept, sorted(there - kept)
