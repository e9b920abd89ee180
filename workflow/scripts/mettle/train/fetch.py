"""Files from elsewhere, downloaded once."""

import hashlib
import os
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

from mettle.flow import Job, verify

# Where downloaded checkpoints are kept, relative to the working directory.
DOWNLOADS = Path("resources/downloads")
_CHUNK = 1 << 20


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
    by_hand = "download it by hand and put its path into column `source`"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, tmp.open("wb") as file:
            size = int(answer.headers.get("Content-Length", 0))
            if answer.headers.get_content_type() == "text/html":
                raise ConnectionError(f"{url} answers with a web page instead of a file: {by_hand}")
            chunks = iter(partial(answer.read, _CHUNK), b"")
            for chunk in job.progress(chunks, f"download of {path.name}", -(-size // _CHUNK) or None):
                file.write(chunk)
        if size and tmp.stat().st_size != size:
            raise ConnectionError(f"{url} sent {tmp.stat().st_size} of {size} bytes: try again, or {by_hand}")
        verify(tmp, sha256)
        tmp.replace(path)
    except ConnectionError:
        raise
    except OSError as error:
        raise ConnectionError(f"{url} cannot be downloaded ({error}): {by_hand}") from error
    finally:
        tmp.unlink(missing_ok=True)
