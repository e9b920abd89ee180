"""`make bench`: number and size of the packages of every conda environment, as this Python has them installed.

It needs what `make dev` installs. Python itself, and what conda puts below it, are not counted.
"""

import re
from functools import cache
from importlib import metadata
from pathlib import Path

import record

ENVS = Path(__file__).parents[1] / "envs"
COLUMNS = ["environment", "packages", "MB on disk"]


def main() -> None:
    options = record.arguments(__doc__).parse_args()
    with record.table("environments", COLUMNS, options) as add:
        for path in sorted(ENVS.glob("*.yaml")):
            names = re.findall(r"^ +- ([\w.-]+)===?[\w.+]+", path.read_text(encoding="utf-8"), re.MULTILINE)
            sizes = [size for name in names if (size := megabytes(name)) is not None]
            missing = f", {len(names) - len(sizes)} of them not installed here" if len(sizes) < len(names) else ""
            add(f"`{path.stem}`", f"{len(names)}{missing}", f"{sum(sizes):,.0f}")


@cache
def megabytes(package: str) -> float | None:
    """Size of the files of a package in MB, of 10^6 bytes; None if it is not installed."""
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        return None
    paths = {Path(file.locate()) for file in files}
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
