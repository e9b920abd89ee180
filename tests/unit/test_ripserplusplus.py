"""envs/compare_gpu.post-deploy.sh: its three lines in the source, and a sentence for what the machine lacks."""

import os
import shutil
import subprocess
import sys
import tarfile

import pytest

from imports import ROOT

SCRIPT = ROOT / "envs" / "compare_gpu.post-deploy.sh"
CMAKE = """\
    set(CUDA_NVCC_FLAGS ${CUDA_NVCC_FLAGS}; -O3;-Xcompiler;-fopenmp;-Xcompiler;-Ofast;-w;-DNDEBUG;-std=c++11)
cuda_select_nvcc_arch_flags(CUDA_ARCH_FLAGS ${CUDA_ARCH_LIST})
set(CMAKE_CXX_STANDARD 11)
"""


def bash(*arguments, **env):
    command = [shutil.which("bash"), str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | env)


def source(folder, cmake=CMAKE):
    (folder / "ripserplusplus").mkdir(parents=True)
    (folder / "CMakeLists.txt").write_text(cmake)
    (folder / "ripserplusplus" / "ripser++.cu").write_text("#include <omp.h>\n#include <thrust/fill.h>\n")
    return folder


def test_the_three_lines(tmp_path):
    folder = source(tmp_path / "source")
    assert bash("patch", folder, CUDA_ARCH="sm_90").returncode == 0
    flags, arch, standard = (folder / "CMakeLists.txt").read_text().splitlines()
    assert flags.endswith("-DNDEBUG;-std=c++17)") and standard == "set(CMAKE_CXX_STANDARD 17)"
    assert arch == "set(CUDA_ARCH_FLAGS -arch=sm_90)"
    headers = (folder / "ripserplusplus" / "ripser++.cu").read_text().splitlines()
    assert headers == ["#include <omp.h>", "#include <thrust/sort.h>", "#include <thrust/fill.h>"]


@pytest.mark.parametrize("line", [0, 1, 2])
def test_another_source_is_refused(tmp_path, line):
    lines = CMAKE.splitlines(keepends=True)
    answer = bash("patch", source(tmp_path / "source", "".join(lines[:line] + lines[line + 1 :])))
    assert answer.returncode == 1
    assert "is not that of ripserplusplus 1.1.2: its three lines were not found" in answer.stderr


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ([], "ripserplusplus: nvcc is not on PATH: load the module of a CUDA toolkit (12 or 13) that"),
        (["nvcc"], "ripserplusplus: g++ is not on PATH: install a C++ compiler that this nvcc takes"),
        (["nvcc", "g++"], "ripserplusplus: make is not on PATH: install make"),
    ],
)
def test_what_the_machine_lacks_is_said_first(tmp_path, there, told):
    for name in there:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    answer = bash(PATH=str(tmp_path))
    assert answer.returncode == 1 and answer.stderr.startswith(told) and not answer.stdout


@pytest.mark.environments
def test_the_lines_are_in_the_published_source(tmp_path):
    asked = SCRIPT.read_text()
    version, digest = (asked.split(f"\n{name}=")[1].split("\n")[0] for name in ("VERSION", "SHA256"))
    (tmp_path / "asked.txt").write_text(f"ripserplusplus=={version} --hash=sha256:{digest}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--dest", str(tmp_path), "--requirement", str(tmp_path / "asked.txt")], check=True)
    with tarfile.open(tmp_path / f"ripserplusplus-{version}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    answer = bash("patch", tmp_path / f"ripserplusplus-{version}")
    assert answer.returncode == 0, answer.stderr
