"""
What to say of an installation beside a question or a bug: versions, commit, machine, configuration, profile.

    python -m mettle.commands.about --config config/paper.yaml --profile slurm

`make about` calls it. It prints neither names of the machine and its user nor values of the environment.
"""

import argparse
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import mettle
from mettle import files, flow, schema
from mettle.digests import fingerprint, sha256_of
from mettle.flow.machine import processor
from mettle.plan.overlay import CONFIG, laid

_RUNNERS = ("snakemake", "snakemake-executor-plugin-slurm", "matplotlib")
_DIGITS = 12  # of a digest
_WIDTH = 80  # characters of a line of packages


def about(config: Sequence[str] = (), profile: str = "") -> dict[str, str]:
    """Facts by their name, in the order in which they are shown.

    Parameters
    ----------
    config : configuration files laid over config/config.yaml, as behind `--configfile`
    profile : folder of a profile, as behind `--profile`; the one that Snakemake takes up by itself is always told
    """
    found = flow.versions(_RUNNERS)
    return {
        "mettle": mettle.__version__,
        "commit": flow.commit(),
        "revisions": _digest(files.HOME / "workflow" / "revisions.lock"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "processor": f"{processor()}, {os.cpu_count()} CPUs",
        "gpu": _gpus(),
        "packages": ", ".join(f"{name} {version}" for name, version in found.items() if name != "mettle"),
        "not locked": ", ".join(_unlike(files.HOME / "requirements.lock")) or "none",
        "config": _config(config),
        "profile": "; ".join(map(_profile, filter(None, ["profiles/default", profile]))),
    }


def text(facts: dict[str, str]) -> str:
    """The facts as lines, for a terminal and for an issue."""
    return "\n".join(f"{name + ':':12}{_wrapped(value)}" for name, value in facts.items())


def _wrapped(value: str) -> str:
    lines = [""]
    for word in value.split(", "):
        if lines[-1] and len(lines[-1]) + len(word) > _WIDTH:
            lines.append("")
        lines[-1] += f", {word}" if lines[-1] else word
    return f",\n{' ' * 12}".join(lines)


def _digest(path: Path) -> str:
    return f"SHA-256 {sha256_of(path)[:_DIGITS]}" if path.exists() else "missing"


def _unlike(lock: Path) -> list[str]:
    """Installed packages whose version is not that of the lock."""
    pins = [line.partition("==") for line in lock.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    locked = {name: version.strip("=") for name, _, version in pins}
    pairs = [(name, version, locked.get(name, version)) for name, version in flow.versions(locked).items()]
    return [f"{name} {version} (locked: {pin})" for name, version, pin in pairs if version != pin]


def _gpus() -> str:
    """GPUs as torch sees them, or why it sees none."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return f"unknown, torch cannot be imported: {' '.join(str(error).split())}"
    if not torch.cuda.is_available():
        return f"none that torch can use (built for CUDA {torch.version.cuda})"
    each = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return f"{', '.join(f'{one.name} ({one.total_memory / 1e9:.0f} GB)' for one in each)}, CUDA {torch.version.cuda}"


def _config(config: Sequence[str]) -> str:
    """Files of the configuration with a digest of all their values, defaults filled in; or what is wrong with it."""
    names = " + ".join([CONFIG, *(Path(name).name for name in config)])
    try:
        values = schema.check(laid([CONFIG, *config]), "config", "configuration")
    except (ValueError, OSError) as error:
        return f"{names}: {' '.join(str(error).split())}"
    return f"{names}: SHA-256 {fingerprint(values)[:_DIGITS]}"


def _profile(folder: str) -> str:
    return f"{Path(folder).name}: {_digest(files.locate(folder) / 'config.yaml')}"


def main() -> None:
    """Print what there is to say."""
    parser = argparse.ArgumentParser(prog="make about", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--config", nargs="*", default=[], help="configuration files, as behind --configfile")
    parser.add_argument("--profile", default="", help="folder of a profile, as behind --profile")
    options = parser.parse_args()
    print(text(about(options.config, options.profile)))


if __name__ == "__main__":
    main()
