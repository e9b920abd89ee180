"""Published checkpoints as weights of this project."""

import hashlib
import os
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

from mettle import models
from mettle.flow import Job, verify
from mettle.models import weights
from mettle.models.published import FORMATS
from mettle.train.loop import about

# Where downloaded checkpoints are kept, relative to the working directory.
DOWNLOADS = Path("resources/downloads")
_CHUNK = 1 << 20


def convert(row: dict[str, Any], recipe: dict[str, Any], target: str | Path, job: Job) -> None:
    """Write the weights of a published checkpoint as safetensors.

    Parameters
    ----------
    row : row of models.tsv, with `classes`; `source` is a path, hf://owner/repository/file, or https://...; `format`
        is a key of `mettle.models.published.FORMATS`
    recipe : recipe that the model was trained with, for size and preprocessing of its input; mean and standard
        deviation are the checkpoint's where it has them
    target : file to write
    job : log, provenance

    Raises
    ------
    ValueError
        If the file differs from the row's SHA-256, is no such checkpoint, or does not fit the architecture.
    FileNotFoundError
        If the source is a path where nothing is.
    ConnectionError
        If a download fails.
    """
    path = fetch(row, job)
    verify(path, row.get("sha256"))
    digest = _sha256(path)
    if not row.get("sha256"):
        job.say(f"{path} has SHA-256 {digest}: put it into column `sha256` of row '{row['model']}' to have it checked")
    found = FORMATS[row["format"]].read(path)
    given = {key: found.pop(key).float().tolist() for key in ("mean", "std") if key in found}
    recipe = recipe | {"input": recipe["input"] | given}
    source = recipe["input"]
    model = models.create(row["arch"], row["classes"], source["size"], source["mean"], source["std"], seed=0)
    state = {f"network.{key}": value for key, value in found.items()}
    weights.fill(model, state | {"mean": model.mean, "std": model.std}, path)
    models.save(target, model, about(row, recipe, job) | {"source": row["source"], "sha256": digest})


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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
