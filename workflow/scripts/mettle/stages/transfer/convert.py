"""Published segmenters, detectors and heads on frozen networks as weights of this project."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mettle import models
from mettle.data import archives
from mettle.data.checkpoints import fetched
from mettle.digests import sha256_of
from mettle.flow import Job
from mettle.models import published, unpickled, weights
from mettle.models.own import digested
from mettle.stages.transfer.kinds import KINDS
from mettle.stages.transfer.training import described
from mettle.typed import ModelRow, Recipe

State = dict[str, Tensor]


# Entries of heads of DINOv2's authors, and ours.
_HEADS = {"decode_head.bn.": "decode_head.convs.", "decode_head.conv_depth.": "head."}


def convert(
    row: ModelRow,
    recipe: Recipe,
    target: str | Path,
    job: Job,
    *,
    base: Sequence[str | Path] = (),
    said: dict[str, Any] | None = None,
) -> None:
    """Write the weights of a published segmenter, detector or head as safetensors.

    Parameters
    ----------
    row : row of the model, with what of its data set the model depends on; `source` is a file already downloaded, of
        mmsegmentation or mmdetection, whose names the backbone has under ``backbone.names: native``; of a head, a file
        of DINOv2's authors, or the weights of another head here, for the same base or another one of its shape
    recipe : how the model is made, and how images reach it
    target : file to write
    job : log, provenance
    base : weights of the network that a head is for
    said : further metadata, with the keys `mettle.models.weights.SAID`

    Raises
    ------
    ValueError
        If the file does not have the row's SHA-256, is not a checkpoint, or lacks or has other entries than the model.
    FileNotFoundError
        If the source does not exist.
    """
    row = digested(row)
    about = described(row, recipe, job)
    if about.get("kind") == weights.HEAD:
        return _head(row, about, base[0], target, job, said or {})
    model = KINDS[recipe["task"]].create(about, 0, 0.0)
    file = fetched(row, job)
    with archives.taken(file.path, file.member) as checkpoint:
        found = published.read(checkpoint, as_published(model), row["format"], row.get("part", ""))
    normalisation = {key: value for key, value in model.named_buffers() if "." not in key}
    state = {re.sub(r"^backbone\.", "backbone.network.", key): value for key, value in found.state.items()}
    weights.fill(model, normalisation | state, file.path)
    job.say(found.taken)
    models.save(target, model, about | {"source": row["source"], "sha256": file.sha256} | (said or {}))


def _head(
    row: ModelRow, about: dict[str, Any], base: str | Path, target: str | Path, job: Job, said: dict[str, Any]
) -> None:
    network = models.load(base, any_size=True)[0].network
    model = KINDS[about["task"]].create(about, 0, 0.0, network)
    file = fetched(row, job)
    with archives.taken(file.path, file.member) as path:
        state = heads_of(path)
    normalisation = {key: value for key, value in model.named_buffers() if key in ("mean", "std")}
    weights.fill(model, weights.network_state(model) | normalisation | state, file.path)
    about |= {"base_sha256": sha256_of(base), "source": row["source"], "sha256": file.sha256}
    models.save(target, weights.head_state(model), about | said)


def heads_of(path: Path) -> State:
    """Entries of a head, under our names, in a file of this project or of DINOv2's authors."""
    if path.suffix == ".safetensors":
        return weights.read_head(path)[0]
    content = unpickled.read(path)
    found = content.get("state_dict", content) if isinstance(content, dict) else {}
    found = {key: value for key, value in found.items() if key.startswith("decode_head.")}
    for theirs, ours in _HEADS.items():
        found = {key.replace(theirs, ours): value for key, value in found.items()}
    if not found:
        raise ValueError(f"{path}: holds no head, which are entries that begin with decode_head")
    return found


def as_published(model: nn.Module) -> nn.Module:
    """The parts of a model under the names that OpenMMLab gives them, without normalisation of the input."""
    return nn.ModuleDict({name: getattr(part, "network", part) for name, part in model.named_children()})
