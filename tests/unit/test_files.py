"""Files that are there whole or not at all."""

import os
import shutil
from types import SimpleNamespace

import pytest

from mettle import files


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "table.parquet"
    with files.whole(path) as tmp:
        tmp.write_text("whole")
        assert tmp.parent == path.parent and not path.exists()
    assert path.read_text() == "whole" and [file.name for file in path.parent.iterdir()] == ["table.parquet"]


def test_what_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "table.parquet"
    path.write_text("before")
    with pytest.raises(ValueError, match="no rows"), files.whole(path) as tmp:
        tmp.write_text("ha")
        raise ValueError("no rows")
    assert path.read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_said_whatever_the_error(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    path = tmp_path / "last.pt"
    with pytest.raises(OSError, match=rf"^\[Errno 28\] No space left on device: '{path}'$"), files.whole(path):
        raise RuntimeError("unexpected pos 100288 vs 100184")
    assert list(tmp_path.iterdir()) == []


def test_processes_of_several_machines_write_under_names_of_their_own(tmp_path, monkeypatch):
    names = []
    for node in ("one", "two"):
        monkeypatch.setattr(os, "uname", lambda node=node: SimpleNamespace(nodename=node))
        with files.whole(tmp_path / "x") as tmp:
            names.append(tmp.name)
            tmp.touch()
    assert len(set(names)) == 2
