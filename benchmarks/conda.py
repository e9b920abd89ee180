"""`make bench`: number and size of the packages of every conda environment, as this Python has them installed.

It needs what `make dev` installs. Python itself, and what conda puts below it, are not counted.
"""

import sys
from pathlib import Path

import record

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from environments import ENVS, bytes_of, pins, pip_part

COLUMNS = ["environment", "packages", "MB on disk"]


def main() -> None:
    options = record.arguments(__doc__).parse_args()
    with record.table("conda", COLUMNS, options) as add:
        for env in ENVS:
            packages = pins(pip_part(env))
            add(f"`{env.stem}`", str(len(packages)), f"{bytes_of(packages) / 1e6:,.0f}")


if __name__ == "__main__":
    main()
