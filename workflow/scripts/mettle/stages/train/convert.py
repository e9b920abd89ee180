"""Published checkpoints as weights of this project."""

from pathlib import Path
from typing import Any

from mettle import models
from mettle.data import archives
from mettle.digests import sha256_of, verify
from mettle.flow import Job
from mettle.models import normaliser, published, weights
from mettle.models.own import digested
from mettle.plan.sources import Source, parse
from mettle.stages.train.loop import about
from mettle.typed import ModelRow, Recipe


def convert(row: ModelRow, recipe: Recipe, target: str | Path, job: Job, *, said: dict[str, Any] | None = None) -> None:
    """Write the weights of a published checkpoint as safetensors.

    Parameters
    ----------
    row : row of the model, with `classes`; `source` is a cell as `mettle.plan.sources` knows them, already
        downloaded; `format` is a key of `mettle.models.published.FORMATS`, or empty to see which one fits; `code` lists
        the user's files that make its architecture, if there are any
    recipe : a block `input`, of the recipe or of the row, for size and preprocessing of the images; mean and standard
        deviation are the checkpoint's where it has them
    target : file to write
    job : log, provenance
    said : further metadata, with the keys `mettle.models.weights.SAID`

    Raises
    ------
    ValueError
        If the file does not have the row's SHA-256, is not a checkpoint, or does not fit the architecture; if its
        network does not end in a linear layer; or if the member after `#` cannot be taken out of it.
    FileNotFoundError
        If the source does not exist.
    """
    row = digested(row)
    origin = parse(row["source"], f"row '{row['model']}' of the models")
    path = _local(origin, row["model"], job)
    verify(path, row.get("sha256"))
    digest = row.get("sha256") or sha256_of(path)
    if not row.get("sha256"):
        where = f"column `sha256` of row '{row['model']}'"
        job.say(f"{path} has SHA-256 {digest}: put it into {where} to have it checked, or run `make checksums`")
    model, source = _network(row, recipe["input"], path, origin.member, job)
    origin_of = {"source": row["source"], "sha256": digest} | (said or {})
    models.save(target, model, about(row, {"input": source}, job) | origin_of)


def _network(
    row: ModelRow, source: dict[str, Any], path: Path, member: str, job: Job
) -> tuple[models.Classifier, dict[str, Any]]:
    """The network with the checkpoint's weights, and how images reach it."""
    mean, std = source["mean"], source["std"]
    where = f"recipe '{row['recipe']}'" if row["recipe"] else f"row '{row['model']}' of the models"
    shape = (row["arch"], row["classes"], source["size"], mean, std)
    network = models.create(*shape, seed=0, code=row.get("code", {})).network
    with archives.taken(path, member) as checkpoint:
        found = published.read(checkpoint, network, row["format"])
    weights.fill(network, found.state, f"{path} (`{found.label}`)" if found.label else path)
    if found.normaliser:
        mean, std = found.normaliser.mean, found.normaliser.std
    normaliser.check(mean, std, f"{where}: input")
    normaliser.once(network.state_dict(), mean, std, where)
    model = models.Classifier(network, mean, std, source["size"])
    model.check(f"architecture '{row['arch']}'", row["classes"])
    job.say(f"{found.taken}: mean {_shown(mean)}, std {_shown(std)}")
    return model, source | {"mean": mean, "std": std}


def _shown(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


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
