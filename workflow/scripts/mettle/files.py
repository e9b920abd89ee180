"""Files that are there whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = 1 << 17  # bytes: with less room left, a write has failed for lack of it


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A temporary name beside a path, whose folder is made; the file becomes the path's if nothing fails.

    What was there stays until then. The name holds machine and process: jobs of two nodes may write the same file.

    Raises
    ------
    OSError
        If the disk is full, whatever the library that writes has made of it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.{os.uname().nodename}-{os.getpid()}.tmp")
    try:
        yield tmp
        tmp.replace(path)
    except Exception as error:
        if shutil.disk_usage(path.parent).free < _FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    finally:
        tmp.unlink(missing_ok=True)
