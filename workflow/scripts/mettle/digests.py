"""SHA-256 digests of files and of plain data."""

import hashlib
import json
from pathlib import Path
from typing import Any


def fingerprint(value: Any) -> str:
    """SHA-256 of plain data in hexadecimal; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: str | Path, sha256: str | None) -> None:
    """Compare a file with the SHA-256 of its row in a sheet, if the row has one; a folder has none.

    Raises
    ------
    ValueError
        If they differ; the message has both.
    """
    if not sha256 or Path(path).is_dir():
        return
    found = sha256_of(path)
    if found != sha256:
        raise ValueError(f"{path} has SHA-256 {found}, the row says {sha256}: download it again, or correct the row")
