#!/usr/bin/env bash
# mmcv asks for the OpenCV with windows, which needs libGL and lies in the same folder as the one without. The one that
# is installed last is imported, and a compute node has no libGL: this installs the other one once more.
# Written by `make pins`.
set -euo pipefail
python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall opencv-python-headless==4.12.0.88
