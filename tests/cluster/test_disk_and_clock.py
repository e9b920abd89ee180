"""A full disk and a clock that is set back, on one machine: nothing half-written, no storm of jobs, equal numbers."""

import os
import shutil
import subprocess
import time

import pytest
from small_tree import FIGURES, MODEL, WEIGHTS, Tree, ended, made, same

pytestmark = pytest.mark.workflow

KIB = 1024


@pytest.fixture
def copy(local, tmp_path):
    """A copy of it with all times."""
    shutil.copytree(local.folder, tmp_path / "copy", symlinks=True)
    return Tree(tmp_path / "copy", "profiles/local")


def jobs(said):
    """Rules of the jobs that were run."""
    return [line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith(("rule ", "localrule "))]


# Disk


@pytest.fixture
def small_disk(local, tmp_path):
    """Function that gives a tree with the data sets of another, whose results lie on a disk with so much room."""
    folder = tmp_path / "full" / "results"

    def mounted(room):
        tree = made(tmp_path / "full", local.folder, profile="profiles/local")
        shutil.move(folder, tmp_path / "results")
        folder.mkdir()
        used = sum(path.stat().st_size for path in (tmp_path / "results").rglob("*") if path.is_file())
        mount = ["mount", "-t", "tmpfs", "-o", f"size={used // KIB + 64 + room}k", "results", str(folder)]
        answer = subprocess.run(mount, capture_output=True, text=True, check=False)
        if answer.returncode:
            pytest.skip(f"no file system can be mounted here: {answer.stderr.strip()}")
        shutil.copytree(tmp_path / "results", folder, dirs_exist_ok=True)
        return tree

    yield mounted
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


@pytest.mark.parametrize("room", [40, 1500], ids=["before any state", "after the first state"])
def test_a_full_disk_leaves_nothing_half_written_and_is_said(local, small_disk, room):
    tree = small_disk(room)
    said = ended(tree.start(WEIGHTS), 1)
    assert f"train {MODEL}: OSError: [Errno 28] No space left on device: 'results/" in said
    results = tree.folder / "results"
    assert not (tree.folder / WEIGHTS).exists()
    assert not [path for path in results.rglob("*") if path.name.endswith(".tmp")]
    tree.whole()
    subprocess.run(["mount", "-o", "remount,size=100m", str(results)], check=True)
    tree.snakemake(WEIGHTS)
    assert ("resuming from epoch" in tree.said()) == (room > 1000)
    assert same(tree, local)


# Clock


def age(folder, seconds):
    """Make every file of a folder older by so many seconds."""
    for path in folder.rglob("*"):
        found = path.stat()
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns - round(seconds * 1e9)))


def test_outputs_older_than_their_inputs_are_not_made_again_if_the_inputs_are_the_same(copy):
    age(copy.folder / "results" / "represent", 86400)
    age(copy.folder / "results" / "tables", 2 * 86400)
    assert "Nothing to be done" in copy.snakemake("-n", FIGURES[1])


def test_an_input_that_is_another_one_is_still_seen(copy):
    other = WEIGHTS.replace("-s0", "-s1")
    shutil.copy(copy.folder / other, copy.folder / WEIGHTS)
    assert sorted(jobs(copy.snakemake("-n", FIGURES[1]))) == ["figure", "represent", "subgroups", "tabulate_figure"]


def test_after_the_clock_is_set_back_only_what_is_asked_for_is_made(local, copy):
    age(copy.folder / "results", -86400)
    said = copy.snakemake(FIGURES[1], "--forcerun", "subgroups")
    assert "were from the future" in said
    assert sorted(jobs(said)) == ["figure", "subgroups", "tabulate_figure"]
    assert (copy.folder / FIGURES[1]).read_bytes() == (local.folder / FIGURES[1]).read_bytes()
    assert max(path.stat().st_mtime for path in (copy.folder / "results").rglob("*")) <= time.time()
    assert "Nothing to be done" in copy.snakemake("-n", FIGURES[1])


def test_scripts_with_new_times_make_nothing_again(copy):
    age(copy.folder / "workflow", -3600)
    assert "Nothing to be done" in copy.snakemake("-n", FIGURES[1])
