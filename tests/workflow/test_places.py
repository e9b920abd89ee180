"""Folders in which the workflow has to run: those with a space or a quote in their names."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import trees
from trees import succeeded

pytestmark = pytest.mark.workflow

TARGET = "results/prep/digits/test.parquet"


def python_in(folder):
    """A Python in a folder, with the packages of this one."""
    venv.EnvBuilder(symlinks=True).create(folder)
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    Path(paths["purelib"], "all.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    return folder / "bin" / "python"


def test_folder_and_environment_may_have_spaces_and_quotes_in_their_names(tmp_path):
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    trees.plant(folder, {"figures": {}})
    command = [python_in(folder / ".venv"), "-m", "snakemake", "--cores", "1", TARGET]
    succeeded(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=trees.environment()))
    assert (folder / TARGET).exists()
