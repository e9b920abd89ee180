"""
Not conda: what Snakemake asks of `conda`, answered with Pythons that hold the same pinned packages, linked from here.

It lets `snakemake --sdm conda` run where conda is not installed, and so shows that every job runs in its environment
and needs nothing else. It cannot show that conda builds that environment.
"""

import json
import os
import shlex
import sys
from pathlib import Path

from environments import isolate, pins, pip_part

# Called with the arguments of conda; the stand-in's own prefix comes first.
COMMAND = '#!/bin/sh\nPYTHONPATH={path} exec {python} {file} {prefix} "$@"\n'
# What scripts run after an environment is made ask of pip is there: it was linked.
PIP = """
import sys
from importlib import metadata

for name, _, version in (word.partition("==") for word in sys.argv if "==" in word):
    assert metadata.version(name) == version, name
"""
ACTIVATE = 'export PATH="$1/bin:$PATH"\n'


def install(prefix: Path) -> Path:
    """Put the stand-in into a new folder; gives the folder of its commands."""
    commands = prefix / "bin"
    commands.mkdir(parents=True)
    (commands / "activate").write_text(ACTIVATE)
    words = {"path": os.pathsep.join(sys.path), "python": sys.executable, "file": __file__, "prefix": prefix}
    text = COMMAND.format_map({name: shlex.quote(str(word)) for name, word in words.items()})
    (commands / "conda").write_text(text)
    (commands / "conda").chmod(0o755)
    return commands


def answer(prefix: str, *arguments: str) -> str:
    """What conda prints; an environment is made on the way."""
    match arguments:
        case ("--version",):
            return "conda 24.7.1"
        case ("info", "--json"):
            return json.dumps({"conda_prefix": prefix, "platform": "linux-64"})
        case ("config", "--get", "channel_priority", "--json"):
            return json.dumps({"get": {"channel_priority": "strict"}})
        case ("env", "create", "--quiet", "--no-default-packages", "--file", file, "--prefix", folder):
            python = isolate(pins(pip_part(Path(file))), Path(folder))
            next(Path(folder).glob("lib/*/site-packages")).joinpath("pip.py").write_text(PIP)
            return str(python)
        case ("clean", *_):
            return ""
    raise ValueError(f"the stand-in does not know conda {' '.join(arguments)}")


if __name__ == "__main__":
    print(answer(*sys.argv[1:]))
