"""Published checkpoints as weights of this project."""

from pathlib import Path
from typing import Any

from mettle import models
from mettle.data import archives
from mettle.flow import Job, sha256_of, verify
from mettle.models import weights
from mettle.models.published import FORMATS
from mettle.plan.sources import Source, parse
from mettle.train.loop import about


def convert(row: dict[str, Any], recipe: dict[str, Any], target: str | Path, job: Job) -> None:
    """Write the weights of a published checkpoint as safetensors.

    Parameters
    ----------
    row : row of models.tsv, with `classes`; `source` is a cell as `mettle.plan.sources` knows them, whose download is
        there; `format` is a key of `mettle.models.published.FORMATS`
    recipe : recipe that the model was trained with, for size and preprocessing of its input; mean and standard
        deviation are the checkpoint's where it has them
    target : file to write
    job : log, provenance

    Raises
    ------
    ValueError
        If the file differs from the row's SHA-256, is no such checkpoint, or does not fit the architecture; or if what
        is behind `#` cannot be taken out of it.
    FileNotFoundError
        If nothing is at the source's path.
    """
    origin = parse(row["source"], f"row '{row['model']}' of the models")
    path = _local(origin, row["model"], job)
    verify(path, row.get("sha256"))
    digest = row.get("sha256") or sha256_of(path)
    if not row.get("sha256"):
        job.say(f"{path} has SHA-256 {digest}: put it into column `sha256` of row '{row['model']}' to have it checked")
    with archives.taken(path, origin.member) as checkpoint:
        found = FORMATS[row["format"]].read(checkpoint)
    given = {key: found.pop(key).float().tolist() for key in ("mean", "std") if key in found}
    recipe = recipe | {"input": recipe["input"] | given}
    source = recipe["input"]
    model = models.create(row["arch"], row["classes"], source["size"], source["mean"], source["std"], seed=0)
    state = {f"network.{key}": value for key, value in found.items()}
    weights.fill(model, state | {"mean": model.mean, "std": model.std}, path)
    models.save(target, model, about(row, recipe, job) | {"source": row["source"], "sha256": digest})


def _local(source: Source, model: str, job: Job) -> Path:
    """The file of a source; one on Hugging Face, which has no plugin, comes into the cache of its own client."""
    if source.scheme == "hf":
        from huggingface_hub import hf_hub_download

        owner, repository, name = source.address.removeprefix("hf://").split("/", 2)
        job.say(f"downloads {name} from {owner}/{repository}")
        return Path(hf_hub_download(f"{owner}/{repository}", name))
    if not source.path.exists():
        raise FileNotFoundError(f"{source.path} does not exist: fill column `source` of row '{model}' of the models")
    return source.path
