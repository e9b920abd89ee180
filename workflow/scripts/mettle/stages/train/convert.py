"""Published checkpoints as weights of this project."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mettle import models
from mettle.data import archives
from mettle.data.checkpoints import Fetched, fetched
from mettle.flow import Job
from mettle.models import normaliser, published, weights
from mettle.models.own import digested
from mettle.stages.train.loop import about
from mettle.typed import ModelRow, Recipe


def convert(row: ModelRow, recipe: Recipe, target: str | Path, job: Job, *, said: dict[str, Any] | None = None) -> None:
    """Write the weights of a published checkpoint as safetensors.

    Parameters
    ----------
    row : row of the model, with `classes`; `source` is a cell as `mettle.plan.sources` knows them, already
        downloaded; `format` is a key of `mettle.models.published.FORMATS`, or empty to see which one fits;
        `part`, if it is there, is the key of the weights in a file that holds several sets; `code` lists the user's
        files that make its architecture, if there are any
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
    file = fetched(row, job)
    model, source = _network(row, recipe["input"], file, job)
    origin_of = {"source": row["source"], "sha256": file.sha256} | (said or {})
    models.save(target, model, about(row, {"input": source}, job) | origin_of)


def _network(
    row: ModelRow, source: dict[str, Any], file: Fetched, job: Job
) -> tuple[models.Classifier, dict[str, Any]]:
    """The network with the checkpoint's weights, and how images reach it."""
    mean, std = source["mean"], source["std"]
    where = f"recipe '{row['recipe']}'" if row["recipe"] else f"row '{row['model']}' of the models"
    shape = (row["arch"], row["classes"], source["size"], mean, std)
    network = models.create(*shape, seed=0, code=row.get("code", {})).network
    with archives.taken(file.path, file.member) as checkpoint:
        found = published.read(checkpoint, network, row["format"], row.get("part", ""))
    state, taken = (found.state, found.taken) if row["classes"] else _headless(found, network)
    weights.fill(network, state, f"{file.path} (`{found.label}`)" if found.label else file.path)
    if found.normaliser:
        mean, std = found.normaliser.mean, found.normaliser.std
    normaliser.check(mean, std, f"{where}: input")
    normaliser.once(network.state_dict(), mean, std, where)
    model = models.Classifier(network, mean, std, source["size"])
    if row["classes"]:
        model.check(f"architecture '{row['arch']}'", row["classes"])
    job.say(f"{taken}: mean {_shown(mean)}, std {_shown(std)}")
    return model, source | {"mean": mean, "std": std}


def _headless(found: published.Published, network: nn.Module) -> tuple[dict[str, Tensor], str]:
    """The state of a network without a head, and what was taken in words."""
    names = (getattr(network, "pretrained_cfg", None) or {}).get("classifier") or ()
    heads = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    extra = [name for name in found.state if heads and name.startswith(heads) and name not in network.state_dict()]
    kept = {name: value for name, value in found.state.items() if name not in extra}
    return kept, found.taken + (f"; leaves out the head, {', '.join(extra)}" if extra else "")


def _shown(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
