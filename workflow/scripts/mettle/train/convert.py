"""Published checkpoints as weights of this project."""

from pathlib import Path
from typing import Any

from mettle import models
from mettle.flow import Job, verify
from mettle.models import madry, weights
from mettle.train.loop import about


def convert(row: dict[str, Any], recipe: dict[str, Any], target: str | Path, job: Job) -> None:
    """Write the weights of a MadryLab-format checkpoint as safetensors.

    Parameters
    ----------
    row : row of models.tsv, with `classes`; `source` is a path or hf://owner/repository/file
    recipe : recipe that the model was trained with, for size and preprocessing of its input
    target : file to write
    job : log, provenance

    Raises
    ------
    ValueError
        If the file differs from the row's SHA-256, is no such checkpoint, or does not fit the architecture.
    FileNotFoundError
        If the source is a path where nothing is.
    """
    path = fetch(row, job)
    verify(path, row.get("sha256"))
    found = madry.read(path)
    state = {key: value.view(1, 3, 1, 1) for key in ("mean", "std") for value in [found.pop(key).float()]}
    state |= {f"network.{key}": value for key, value in found.items()}
    mean, std = (state[key].flatten().tolist() for key in ("mean", "std"))
    recipe = recipe | {"input": recipe["input"] | {"mean": mean, "std": std}}
    model = models.create(row["arch"], row["classes"], recipe["input"]["size"], mean, std, seed=0)
    weights.fill(model, state, path)
    models.save(target, model, about(row, recipe, job) | {"source": row["source"]})


def fetch(row: dict[str, Any], job: Job) -> Path:
    """The checkpoint as a local file; one on the Hugging Face hub is downloaded into the hub's cache."""
    source = row["source"]
    if not source.startswith("hf://"):
        if not Path(source).exists():
            raise FileNotFoundError(
                f"{source} does not exist: fill column `source` of row '{row['model']}' in config/models.tsv"
            )
        return Path(source)
    from huggingface_hub import hf_hub_download

    owner, repository, name = source.removeprefix("hf://").split("/", 2)
    job.say(f"downloads {name} from {owner}/{repository}")
    return Path(hf_hub_download(f"{owner}/{repository}", name))
