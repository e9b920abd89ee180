"""Files: finding those that the configuration names, and writing that is atomic."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

HOME = Path(__file__).resolve().parents[3]  # mettle's own folder
_SHOWN = 20  # names in a message
_FULL = 1 << 17  # bytes; with less space left, a failed write is put down to a full disk


def locate(path: str | Path) -> Path:
    """Path of a file or folder that the configuration or a sheet names: in the working directory, else in `HOME`.

    This way files that ship with mettle are found by workflows that use it as a module, and with `--directory`. An
    absolute path, and one that is in neither, is returned as it is.
    """
    own = HOME / path
    return own if own.exists() and not Path(path).exists() else Path(path)


def in_file(name: str) -> tuple[str, str]:
    """File and name of what is written `net.py:MyNet`; no file where there is no colon."""
    path, _, name = name.rpartition(":")
    return path, name


def stems(folder: str | Path, ending: str) -> list[str]:
    """Sorted names, without their ending, of the files with this ending in a folder that `locate` finds."""
    return sorted({path.stem for place in (Path(folder), HOME / folder) for path in place.glob(f"*{ending}")})


def only(wanted: str, names: Iterable[str], where: str) -> str:
    """The name that is wanted: an exact match, else the only name that matches it as a shell pattern.

    Raises
    ------
    ValueError
        If none matches or several do; the message lists the names.
    """
    names = set(names)
    if wanted in names:
        return wanted
    found = [name for name in names if fnmatchcase(name, wanted)]
    if len(found) != 1:
        more = ", ..." if len(names) > _SHOWN else ""
        there = ", ".join(sorted(names)[:_SHOWN]) or "none"
        raise ValueError(f"'{wanted}' fits {len(found)} names in {where}, not one; there are {there}{more}")
    return found[0]


@contextmanager
def atomic(path: str | Path, same: Callable[[Path, Path], bool] | None = None) -> Iterator[Path]:
    """Context that gives a temporary path beside `path`; the file is renamed to `path` if nothing fails.

    The folder is made, and an earlier file stays until the end. The temporary name has the host and the process, since
    jobs on two nodes may write the same file. Permissions follow the umask, whatever library writes the file.

    Parameters
    ----------
    path : file to write
    same : (old, new) to whether two files differ in nothing but their provenance; then the old one is kept, with a new
        modification time, so that nothing that depends on it is made again

    Raises
    ------
    OSError
        If the disk is full, whatever the library that writes raises then.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.{os.uname().nodename}-{os.getpid()}.tmp")
    mode = _mode(tmp)
    try:
        yield tmp
        if same and path.exists() and same(path, tmp):
            shutil.copyfile(path, tmp)
        tmp.chmod(mode)
        tmp.replace(path)
    except Exception as error:
        if shutil.disk_usage(path.parent).free < _FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    finally:
        tmp.unlink(missing_ok=True)


def _mode(path: Path) -> int:
    """Permissions of a new file here: those of the umask, or inherited from its folder."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return mode
