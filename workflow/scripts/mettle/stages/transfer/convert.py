"""Published checkpoints of OpenMMLab's segmenters and detectors as weights of this project."""

import re
from pathlib import Path
from typing import Any

from torch import nn

from mettle import models
from mettle.data import archives
from mettle.data.checkpoints import fetched
from mettle.flow import Job
from mettle.models import published, weights
from mettle.models.own import digested
from mettle.stages.transfer.kinds import KINDS
from mettle.stages.transfer.training import described
from mettle.typed import ModelRow, Recipe


def convert(row: ModelRow, recipe: Recipe, target: str | Path, job: Job, *, said: dict[str, Any] | None = None) -> None:
    """Write the weights of a published segmenter or detector as safetensors.

    Parameters
    ----------
    row : row of the model, with what of its data set the model depends on; `source` is a file already downloaded, of
        mmsegmentation or mmdetection, whose names the backbone has under ``backbone.names: native``
    recipe : how the model is made, and how images reach it
    target : file to write
    job : log, provenance
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
    model = KINDS[recipe["task"]].create(about, 0, 0.0)
    file = fetched(row, job)
    with archives.taken(file.path, file.member) as checkpoint:
        found = published.read(checkpoint, as_published(model), row["format"])
    normalisation = {key: value for key, value in model.named_buffers() if "." not in key}
    state = {re.sub(r"^backbone\.", "backbone.network.", key): value for key, value in found.state.items()}
    weights.fill(model, normalisation | state, file.path)
    job.say(found.taken)
    models.save(target, model, about | {"source": row["source"], "sha256": file.sha256} | (said or {}))


def as_published(model: nn.Module) -> nn.Module:
    """The parts of a model under the names that OpenMMLab gives them, without normalisation of the input."""
    return nn.ModuleDict({name: getattr(part, "network", part) for name, part in model.named_children()})
