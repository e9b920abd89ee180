"""Published checkpoints as weights of this project."""

from pathlib import Path
from typing import Any

from mettle import models
from mettle.flow import Job, sha256_of, verify
from mettle.models import weights
from mettle.models.published import FORMATS
from mettle.train.fetch import fetch
from mettle.train.loop import about


def convert(row: dict[str, Any], recipe: dict[str, Any], target: str | Path, job: Job) -> None:
    """Write the weights of a published checkpoint as safetensors.

    Parameters
    ----------
    row : row of models.tsv, with `classes`; `source` is a path, https://..., hf://owner/repository/file,
        zenodo://RECORD/FILE, or zenodo://RECORD/ARCHIVE.zip/MEMBER; `format` is a key of
        `mettle.models.published.FORMATS`
    recipe : recipe that the model was trained with, for size and preprocessing of its input; mean and standard
        deviation are the checkpoint's where it has them
    target : file to write
    job : log, provenance

    Raises
    ------
    ValueError
        If the file differs from the row's SHA-256 or from Zenodo's MD5, is no such checkpoint, or does not fit the
        architecture; or if no name on Zenodo, or several, fit the source.
    FileNotFoundError
        If the source is a path where nothing is.
    ConnectionError
        If a download fails.
    """
    path = fetch(row, job)
    verify(path, row.get("sha256"))
    digest = row.get("sha256") or sha256_of(path)
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
