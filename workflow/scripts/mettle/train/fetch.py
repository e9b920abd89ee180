"""Files from elsewhere, downloaded once."""

import hashlib
import os
import urllib.request
from email.message import Message
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from mettle.flow import Job, verify

# Where downloaded checkpoints are kept, relative to the working directory.
DOWNLOADS = Path("resources/downloads")
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
    if source.startswith("https://"):
        path = DOWNLOADS / f"{row['model']}-{hashlib.sha256(source.encode()).hexdigest()[:8]}.pth"
        if not path.exists():
            job.say(f"downloads {source} to {path}")
            download(source, path, row.get("sha256"), job)
        return path
    if not Path(source).exists():
        raise FileNotFoundError(f"{source} does not exist: fill column `source` of row '{row['model']}' of the models")
    return Path(source)


def download(url: str, path: Path, sha256: str | None, job: Job) -> None:
    """Write what a URL answers, under a temporary name that is renamed once all of it is there and is the right file.

    Raises
    ------
    ConnectionError
        If nothing answers, less comes than was announced, or a web page comes, as from a file host over its quota.
    ValueError
        If the SHA-256 is given and another.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        headers = _receive(url, tmp, job)
        size, expected = tmp.stat().st_size, int(headers.get("Content-Length", 0))
        if headers.get_content_type() == "text/html":
            raise ConnectionError(f"{url} answers with a web page instead of a file: {_BY_HAND}")
        if expected and size != expected:
            raise ConnectionError(f"{url} sent {size} of {expected} bytes: try again, or {_BY_HAND}")
        verify(tmp, sha256)
        tmp.replace(path)
    finally:
        tmp.unlink(missing_ok=True)


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
