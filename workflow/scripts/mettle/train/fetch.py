"""Files from elsewhere, downloaded once."""

import hashlib
import json
import os
import shutil
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.message import Message
from fnmatch import fnmatchcase
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from mettle.flow import Job, verify

# Where downloaded checkpoints are kept, relative to the working directory.
DOWNLOADS = Path("resources/downloads")
ZENODO = "https://zenodo.org/api/records"
_CHUNK = 1 << 20
_BY_HAND = "download it by hand and put its path into column `source`"


def fetch(row: dict[str, Any], job: Job) -> Path:
    """The checkpoint as a local file; one from the network is downloaded once."""
    source = row["source"]
    if source.startswith("hf://"):
        from huggingface_hub import hf_hub_download

        owner, repository, name = source.removeprefix("hf://").split("/", 2)
        job.say(f"downloads {name} from {owner}/{repository}")
        return Path(hf_hub_download(f"{owner}/{repository}", name))
    if source.startswith("zenodo://"):
        return from_zenodo(source, job)
    if source.startswith("https://"):
        path = DOWNLOADS / f"{row['model']}-{hashlib.sha256(source.encode()).hexdigest()[:8]}.pth"
        if not path.exists():
            job.say(f"downloads {source} to {path}")
            download(source, path, row.get("sha256"), job)
        return path
    if not Path(source).exists():
        raise FileNotFoundError(f"{source} does not exist: fill column `source` of row '{row['model']}' of the models")
    return Path(source)


def from_zenodo(source: str, job: Job) -> Path:
    """A file of a Zenodo record, or a member of a zip archive there, as a local file; each is fetched once.

    Parameters
    ----------
    source : zenodo://RECORD/FILE, or zenodo://RECORD/ARCHIVE.zip/MEMBER with the member's whole path in the archive;
        either may be a shell pattern that one name fits
    job : log

    Raises
    ------
    ConnectionError
        If Zenodo does not list the record's files, or the download fails.
    ValueError
        If no name or several fit, the file has not the MD5 that Zenodo states, or the archive is damaged.
    """
    record, wanted, member = (*source.removeprefix("zenodo://").split("/", 2), "")[:3]
    path = DOWNLOADS / f"zenodo-{record}-{wanted}"
    if not path.exists():
        files = _files_of(record)
        name = _one(wanted, files, f"record {record}")
        path = DOWNLOADS / f"zenodo-{record}-{name.replace('/', '_')}"
        if not path.exists():
            job.say(f"downloads {name} from Zenodo record {record}")
            url, md5 = files[name]
            download(url, path, None, job, md5)
    return _member(path, member, job) if member else path


def _files_of(record: str) -> dict[str, tuple[str, str]]:
    """Address and MD5 of each file of a Zenodo record, by name."""
    url = f"{ZENODO}/{record}"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            files = json.load(answer)["files"]
        return {file["key"]: (file["links"]["self"], file["checksum"].removeprefix("md5:")) for file in files}
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        raise ConnectionError(f"{url} does not list the files of the record ({error}): {_BY_HAND}") from error


def _one(wanted: str, names: Iterable[str], where: str) -> str:
    """The one name that is wanted: the very name, else the only one that fits it as a shell pattern."""
    found = [name for name in names if name == wanted] or [name for name in names if fnmatchcase(name, wanted)]
    if len(found) != 1:
        raise ValueError(
            f"'{wanted}' fits {len(found)} names of {where}, not one; there are {', '.join(sorted(names))}"
        )
    return found[0]


def _member(archive: Path, wanted: str, job: Job) -> Path:
    """A member of a zip archive, under a name of ours beside it: a path in the archive writes nowhere else."""
    try:
        with zipfile.ZipFile(archive) as opened:
            name = _one(wanted, [info.filename for info in opened.infolist() if not info.is_dir()], str(archive))
            path = archive.with_name(f"{archive.name}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.pth")
            if not path.exists():
                job.say(f"takes {name} out of {archive}")
                with _whole(path) as tmp, opened.open(name) as packed, tmp.open("wb") as file:
                    shutil.copyfileobj(packed, file, _CHUNK)
            return path
    except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError, zlib.error) as error:
        raise ValueError(f"{archive} cannot be unpacked as a zip archive: {error}") from error


def download(url: str, path: Path, sha256: str | None, job: Job, md5: str = "") -> None:
    """Write what a URL answers, under a temporary name that is renamed once all of it is there and is the right file.

    Raises
    ------
    ConnectionError
        If nothing answers, less comes than was announced, or a web page comes, as from a file host over its quota.
    ValueError
        If the SHA-256 or MD5 is given and another.
    """
    with _whole(path) as tmp:
        headers = _receive(url, tmp, job)
        size, expected = tmp.stat().st_size, int(headers.get("Content-Length", 0))
        if headers.get_content_type() == "text/html":
            raise ConnectionError(f"{url} answers with a web page instead of a file: {_BY_HAND}")
        if expected and size != expected:
            raise ConnectionError(f"{url} sent {size} of {expected} bytes: try again, or {_BY_HAND}")
        verify(tmp, sha256)
        if md5 and (found := _md5_of(tmp)) != md5:
            raise ValueError(f"{url} sent a file with MD5 {found} instead of {md5}: try again, or {_BY_HAND}")


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A temporary name beside a path, which becomes the path if nothing fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield tmp
        tmp.replace(path)
    finally:
        tmp.unlink(missing_ok=True)


def _md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def _receive(url: str, path: Path, job: Job) -> Message:
    """Write what comes to a file; the headers of the answer."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, path.open("wb") as file:
            total = -(-int(answer.headers.get("Content-Length", 0)) // _CHUNK) or None
            for chunk in job.progress(iter(partial(answer.read, _CHUNK), b""), f"download of {url}", total):
                file.write(chunk)
            return answer.headers
    except (OSError, HTTPException) as error:
        raise ConnectionError(f"{url} cannot be downloaded ({error}): {_BY_HAND}") from error
