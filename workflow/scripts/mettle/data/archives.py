"""
Zip and tar archives: unpack the part that a source names after `#` into a temporary folder.

Archives are not trusted: only regular files and folders are written, all below the temporary folder. A path that leads
out of it, a link, a device or a pipe in the requested part is an error.
"""

import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from mettle.files import only

ROOT = "."  # as a member: the whole archive
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError)


@dataclass(frozen=True)
class _Entry:
    """An entry of an archive."""

    name: str
    is_file: bool
    is_folder: bool
    size: int
    open: Callable[[], IO[bytes]]


@contextmanager
def taken(path: Path, member: str) -> Iterator[Path]:
    """The file itself, or an unpacked member of the archive, for as long as the context lasts.

    Parameters
    ----------
    path : a file, or an archive
    member : full path of a file or folder in the archive, a shell pattern that matches exactly one, or `.` for the
        whole archive; empty for the file itself

    Raises
    ------
    ValueError
        If the archive is damaged or not an archive, no member or several match, the disk is too small, or a member is
        not a regular file or would be written outside the folder.
    """
    if not member:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="mettle-") as folder:
        yield _unpack(path, member, Path(folder))


def _unpack(path: Path, member: str, folder: Path) -> Path:
    try:
        with _opened(path) as entries:
            name = _one(member.rstrip("/"), entries, path)
            wanted = [entry for entry in entries if name == ROOT or f"{entry.name}/".startswith(f"{name}/")]
            _check_space(sum(entry.size for entry in wanted), folder, path)
            for entry in wanted:
                _write(entry, folder, path)
    except _DAMAGE as error:
        raise ValueError(f"{path} cannot be unpacked: {error}") from error
    return folder / name


@contextmanager
def _opened(path: Path) -> Iterator[list[_Entry]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield [_zipped(archive, info) for info in archive.infolist()]
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            yield [_tarred(archive, info) for info in archive]
            while archive.fileobj.read(1 << 20):  # gzip compares its checksum at the very end, past the last member
                pass
    else:
        raise ValueError(f"{path} is not a zip or tar archive, so nothing can be taken out of it with '#'")


def _zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Entry:
    # The upper half holds the file's mode, if the archive was written on a system with modes.
    kind = stat.S_IFMT(info.external_attr >> 16)
    is_file = not info.is_dir() and kind in (0, stat.S_IFREG)
    return _Entry(info.filename.rstrip("/"), is_file, info.is_dir(), info.file_size, lambda: archive.open(info))


def _tarred(archive: tarfile.TarFile, info: tarfile.TarInfo) -> _Entry:
    name = info.name.removeprefix("./")
    return _Entry(name, info.isfile(), info.isdir(), info.size, lambda: archive.extractfile(info))


def _one(wanted: str, entries: list[_Entry], path: Path) -> str:
    """The requested name: an exact match, else the only name that matches it as a shell pattern."""
    names = {entry.name for entry in entries}
    names |= {str(parent) for name in names for parent in PurePosixPath(name).parents}
    if wanted in names:
        return wanted
    return only(wanted, names - {ROOT, "/"}, str(path))


def _check_space(size: int, folder: Path, path: Path) -> None:
    """Raise ValueError if the files do not fit on the disk; neither format unpacks to more than its stated size."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ValueError(
            f"{path} unpacks to {size} bytes, but {folder.parent} has {free} free: set TMPDIR to a larger folder, or "
            "unpack it by hand"
        )


def _write(entry: _Entry, folder: Path, path: Path) -> None:
    """Write one file or folder of an archive below `folder`."""
    parts = PurePosixPath(entry.name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"{path} holds '{entry.name}', which would be written outside the folder")
    if not entry.is_file and not entry.is_folder:
        raise ValueError(f"{path} holds '{entry.name}', which is a link, a device or a pipe, not a file")
    target = folder / parts
    if entry.is_folder:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with entry.open() as packed, target.open("xb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
