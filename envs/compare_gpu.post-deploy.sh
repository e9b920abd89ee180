#!/usr/bin/env bash
# Builds ripserplusplus 1.1.2 (MIT), which computes barcodes on a CUDA device, for the `python` that comes first on PATH.
#
#   snakemake --sdm conda ...                                             runs it once envs/compare_gpu.yaml is made
#   source .venv/bin/activate && bash envs/compare_gpu.post-deploy.sh     without conda
#
# It needs nvcc of CUDA 12 or 13, g++ and make, and a network; a GPU only where it is used. CUDA_ARCH=sm_90 builds for one
# kind of GPU, in a fraction of the time that all take.
set -euo pipefail

VERSION=1.1.2
SHA256=62833fa2ebd87220ded4c8cd82d73413e2b854f3b693af6adfbf648a617aaf2c

# Three lines of the source, without which it does not build with CUDA 12 or 13.
patch_source() {
    # 1. The C++ standard: thrust needs 17.
    sed -i 's/-std=c++11/-std=c++17/g; s/CMAKE_CXX_STANDARD 11/CMAKE_CXX_STANDARD 17/' "$1/CMakeLists.txt"
    # 2. The kinds of GPU: without one at hand, CMake's list has some that nvcc no longer knows (compute_53).
    sed -i "s/^cuda_select_nvcc_arch_flags(.*/set(CUDA_ARCH_FLAGS -arch=${CUDA_ARCH:-all-major})/" "$1/CMakeLists.txt"
    # 3. A header that thrust no longer includes by itself.
    sed -i 's|^#include <thrust/fill.h>|#include <thrust/sort.h>\n&|' "$1/ripserplusplus/ripser++.cu"
    grep -q '^ *set(CUDA_NVCC_FLAGS .*DNDEBUG;-std=c++17)' "$1/CMakeLists.txt" && grep -q 'CXX_STANDARD 17' "$1/CMakeLists.txt" &&
        grep -q '^set(CUDA_ARCH_FLAGS -arch=' "$1/CMakeLists.txt" && grep -q 'thrust/sort.h' "$1/ripserplusplus/ripser++.cu" ||
        fail "the source in $1 is not that of ripserplusplus $VERSION: its three lines were not found"
}

fail() {
    echo "ripserplusplus: $1" >&2
    exit 1
}

need() {
    command -v "$1" >/dev/null || fail "$1 is not on PATH: $2"
}

if [ "${1:-}" = patch ]; then # only the three lines, in a folder with the source
    patch_source "$2"
    exit
fi
need nvcc "load the module of a CUDA toolkit (12 or 13) that the nodes' driver knows, or add its folder bin to PATH"
need g++ "install a C++ compiler that this nvcc takes"
need make "install make"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Tools of a certain age, apart: CMake 4 has no FindCUDA any more, and setuptools 81 no dry runs.
python -m venv "$work/tools"
export PATH="$work/tools/bin:$PATH"
pip install --quiet --disable-pip-version-check cmake==3.31.6 setuptools==80.10.2 wheel==0.45.1
echo "ripserplusplus==$VERSION --hash=sha256:$SHA256" >"$work/asked.txt"
pip download --quiet --no-deps --no-binary :all: --no-build-isolation --dest "$work" --requirement "$work/asked.txt"
tar -xzf "$work/ripserplusplus-$VERSION.tar.gz" -C "$work"
patch_source "$work/ripserplusplus-$VERSION"
pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work" "$work/ripserplusplus-$VERSION"
export PATH="${PATH#*:}"
python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "$work"/ripserplusplus-*.whl
echo "ripserplusplus $VERSION built for $(python -c 'import sys; print(sys.prefix)')"
