"""Files: where they lie, and that they are there whole or not at all."""

import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mettle import files, models, tables
from mettle.data.item import Item, png
from mettle.data.store import write
from mettle.flow.parts import Parts
from mettle.models.checkpoint import Checkpoint
from mettle.stages import represent
from mettle.stages.plot.style import save


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory; mettle's own folder is another one."""
    for name in ("here", "home"):
        (tmp_path / name / "config").mkdir(parents=True)
    monkeypatch.setattr(files, "HOME", tmp_path / "home")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_a_path_is_sought_in_the_working_directory_and_then_in_mettles_own_folder(here):
    sheet, own = Path("config/models.tsv"), here / "home" / "config" / "models.tsv"
    assert files.locate("config/models.tsv") == sheet  # in neither: as it was given, for the message
    own.touch()
    assert files.locate("config/models.tsv") == own and files.locate(sheet) == own
    (here / "here" / sheet).touch()
    assert files.locate(sheet) == sheet
    assert files.locate(here / "none") == here / "none" and files.locate(own) == own


def test_names_in_a_folder_are_those_of_both_places(here):
    for name in ("here/config/a.yaml", "here/config/b.yaml", "home/config/b.yaml", "home/config/c.yaml", "home/d.yaml"):
        (here / name).touch()
    assert files.stems("config", ".yaml") == ["a", "b", "c"] and files.stems("none", ".yaml") == []
    assert files.stems(here / "here" / "config", ".yaml") == ["a", "b"]


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "table.parquet"
    with files.atomic(path) as tmp:
        tmp.write_text("whole")
        assert tmp.parent == path.parent and not path.exists()
    assert path.read_text() == "whole" and [file.name for file in path.parent.iterdir()] == ["table.parquet"]


def test_what_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "table.parquet"
    path.write_text("before")
    with pytest.raises(ValueError, match="no rows"), files.atomic(path) as tmp:
        tmp.write_text("ha")
        raise ValueError("no rows")
    assert path.read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_said_whatever_the_error(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    path = tmp_path / "last.pt"
    with pytest.raises(OSError, match=rf"^\[Errno 28\] No space left on device: '{path}'$"), files.atomic(path):
        raise RuntimeError("unexpected pos 100288 vs 100184")
    assert list(tmp_path.iterdir()) == []


def test_processes_of_several_machines_write_under_names_of_their_own(tmp_path, monkeypatch):
    names = []
    for node in ("one", "two"):
        monkeypatch.setattr(os, "uname", lambda node=node: SimpleNamespace(nodename=node))
        with files.atomic(tmp_path / "x") as tmp:
            names.append(tmp.name)
            tmp.touch()
    assert len(set(names)) == 2


# Permissions: those of the umask, whoever writes


def private(folder):
    """As libraries do that write under a temporary name of their own."""
    with files.atomic(folder / "file") as tmp:
        _, name = tempfile.mkstemp(dir=folder)  # of mode 0600
        Path(name).replace(tmp)


def weights(folder):
    model = models.create("resnet8", 2, 32, [0.5] * 3, [0.25] * 3, seed=0)
    about = {"arch": "resnet8", "classes": 2, "size": 32, "resize": None, "interpolation": "bilinear"}
    models.save(
        folder / "w.safetensors", model, about | {"mean": [0.5] * 3, "std": [0.25] * 3, "threat": "none", "eps": 0}
    )


ROWS = {"dataset": ["d"], "images": ["natural"], "model": ["a"], "id": [0], "label": [1], "prediction": [1]}
ROWS |= {"logits": np.ones((1, 2)), "features": np.ones((1, 3))}


def table(folder):
    tables.write(folder / "written.parquet", tables.REPRESENT, ROWS)
    tables.stream(folder / "streamed.parquet", tables.REPRESENT, [ROWS])
    tables.page(folder / "page.html", tables.REPRESENT, pd.DataFrame({"id": [1]}), {})


def figure(folder):
    save(Figure(), folder / "figure.png", folder / "figure.pdf")


def store(folder):
    items = [Item(png(np.zeros((4, 4, 3), np.uint8)), 0, "a", "made")]
    write(folder / "test.lmdb", folder / "test.parquet", items)


def states(folder):
    Checkpoint(folder / "state", "f").save({"model": {}})
    Parts(folder / "parts", ["f"], 1).save(0, {"id": np.arange(2)})


def folders(folder):
    with files.atomic(folder / "kept" / "inverted-a" / "b.parquet") as tmp:
        tmp.touch(0o600)
    represent._settle(folder / "kept", folder / "settled")


@pytest.mark.parametrize("kind", [private, weights, table, figure, store, states, folders])
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_files_and_folders_get_what_the_umask_gives(tmp_path, kind, umask, mode):
    before = os.umask(umask)
    try:
        kind(tmp_path / "new")
    finally:
        os.umask(before)
    made = list((tmp_path / "new").rglob("*"))
    assert made
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == mode | (0o111 & ~umask if path.is_dir() else 0), path.name
