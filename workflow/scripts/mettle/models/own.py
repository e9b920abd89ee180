"""The user's own code: Python files that rows and `plugins` name. Nothing else that a sheet names is run."""

import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from mettle.digests import sha256_of
from mettle.files import in_file, locate

Digests = Mapping[str, str]  # SHA-256 of files, by the path that sheets and configuration name


def digests(paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files by their paths, which are sought as `files.locate` does."""
    return {path: sha256_of(locate(path)) for path in paths}


def digested(row: Mapping[str, Any]) -> dict[str, Any]:
    """A model's row with the SHA-256 of the files under `code` and `loss_code`, where it has such."""
    return {**row, **{key: digests(row[key]) for key in ("code", "loss_code") if key in row}}


def module(path: str, digest: str | None = None) -> ModuleType:
    """A file as a module, run once per content.

    Parameters
    ----------
    path : of a Python file, sought as `files.locate` does
    digest : SHA-256 that it has to have; None for any

    Raises
    ------
    ValueError
        If it is not there, has another SHA-256, or fails.
    """
    try:
        source = locate(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path} does not exist, but its code is needed: put the file back") from error
    own = sha256(source).hexdigest()
    if digest not in (own, None):
        raise ValueError(
            f"{path} has changed: its SHA-256 is {own}, the weights were made with {digest}: make them again "
            "(`snakemake` does), or put the former file back"
        )
    return _run(path, source, own)


@cache
def _run(path: str, source: bytes, digest: str) -> ModuleType:
    """What is compiled are the very bytes of the digest: Python's own cache goes by size and second."""
    made = ModuleType(f"{Path(path).stem}_{digest[:12]}")
    made.__file__ = str(locate(path).absolute())
    sys.modules[made.__name__] = made  # where dataclasses and timm.register_model look for it
    try:
        exec(compile(source, made.__file__, "exec"), made.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[made.__name__]
        raise ValueError(f"{path} fails on import: {_last_line(error)}{_beside(path, error)}") from error
    return made


def register(plugins: Digests, registry: Callable[[], Mapping[str, Any]]) -> None:
    """Run plugins, each once.

    Parameters
    ----------
    plugins : files with their SHA-256
    registry : gives the entries that there are by name

    Raises
    ------
    ValueError
        If one replaces an entry, or cannot be run.
    """
    for path, digest in plugins.items():
        before = dict(registry())
        module(path, digest)
        after = registry()
        if taken := [name for name, entry in before.items() if after.get(name) is not entry]:
            raise ValueError(f"{path}: registers '{taken[0]}', which there is already: choose another name")


def build(arch: str, classes: int, size: int, digest: str | None = None, **options: Any) -> nn.Module:
    """The network that a class or function of a file makes.

    It is called with those of `num_classes`, `img_size` and the options that it names, and with `num_classes` where it
    takes any keyword.

    Parameters
    ----------
    arch : as `net.py:MyNet`
    classes, size : as in `architectures.build`
    digest : SHA-256 of the file; None for any
    options : further keywords, all of which it has to name

    Raises
    ------
    ValueError
        If it has no such class or function, which fails, or makes no module.
    TypeError
        If it does not know an option.
    """
    path, name = in_file(arch)
    make = getattr(module(path, digest), name, None)
    if not callable(make):
        raise ValueError(f"{path} has no class or function '{name}'")
    known = inspect.signature(make).parameters
    if unknown := [option for option in options if option not in known]:
        raise TypeError(f"{arch} got an unexpected keyword argument '{unknown[0]}'")
    any_keyword = any(one.kind is one.VAR_KEYWORD for one in known.values())
    given = {"num_classes": classes} if any_keyword or "num_classes" in known else {}
    given |= {"img_size": size} if "img_size" in known else {}
    try:
        made = make(**given, **options)
    except Exception as error:
        called = ", ".join(f"{key}={value}" for key, value in given.items())
        raise ValueError(f"{arch} fails when it is called as {name}({called}): {_last_line(error)}") from error
    if not isinstance(made, nn.Module):
        raise ValueError(f"{arch} gives a {type(made).__name__}, not a torch.nn.Module")
    return made


def _last_line(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()


def _beside(path: str, error: BaseException) -> str:
    """The remedy for an import of a file that lies beside the one that is run."""
    name = (getattr(error, "name", None) or "").partition(".")[0]
    folder = locate(path).parent
    if not isinstance(error, ModuleNotFoundError) or not name:
        return ""
    if not ((folder / f"{name}.py").exists() or (folder / name).is_dir()):
        return f": install '{name}' into the environment"
    return f": '{name}' lies beside it, but only the file that is named is read: put both into one file, or install it"
