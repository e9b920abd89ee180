"""Files: where those lie that the configuration names, and writing that leaves them whole or not at all."""

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
_FULL = 1 << 17  # bytes: with less room left, a write has failed for lack of it


def locate(path: str | Path) -> Path:
    """Where a file or folder lies that the configuration or a sheet names: in the working directory, else in `HOME`.

    So what ships with mettle is there for a workflow that has it as a module, and for `--directory`. An absolute path,
    and one that is in neither, stays what it is.
    """
    own = HOME / path
    return own if own.exists() and not Path(path).exists() else Path(path)


def in_file(name: str) -> tuple[str, str]:
    """File and name of what is written `net.py:MyNet`; no file where there is no colon."""
    path, _, name = name.rpartition(":")
    return path, name


def stems(folder: str | Path, ending: str) -> list[str]:
    """Names, without their ending, of all files with it that `found` finds in a folder, sorted."""
    return sorted({path.stem for place in (Path(folder), HOME / folder) for path in place.glob(f"*{ending}")})


def only(wanted: str, names: Iterable[str], where: str) -> str:
    """The one name that is wanted: the very name, else the only one that fits it as a shell pattern.

    Raises
    ------
    ValueError
        If none fits or several do; the message lists what there is.
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
    """A temporary name beside a path, whose folder is made; the file becomes the path's if nothing fails.

    What was there stays until then. The name holds machine and process: jobs of two nodes may write the same file. The
    file can be read by whom the umask lets, whatever the library that writes thinks of that.

    Parameters
    ----------
    path : file to write
    same : (old, new) to whether two files hold the same but for what made them; then the bytes of the old one stay,
        under a new time, so that nothing that follows from it is made again

    Raises
    ------
    OSError
        If the disk is full, whatever the library that writes has made of it.
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
    """Permissions that a new file gets here: the umask's, or those that its folder hands down."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return mode
