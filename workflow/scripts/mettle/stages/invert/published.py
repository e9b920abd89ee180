"""Published inverted images as an image store (Klabunde et al. 2025).

A file holds one tensor of images, the k-th made from the k-th target and seed of two lists that all models share.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mettle import data, tables
from mettle.data import archives
from mettle.data.item import Item, png
from mettle.data.store import Store
from mettle.digests import sha256_of
from mettle.evaluation import Evaluation
from mettle.models import unpickled
from mettle.plan.sources import parse
from mettle.stages.invert.descent import relative_distance
from mettle.stages.invert.images import matched
from mettle.stages.invert.pair import places
from mettle.typed import ModelRow

Row = dict[str, Any]
# Fraction of images that must be nearer to their own target than to another; with wrong lists half are.
_NEARER = 0.75


def write_published(
    lmdb_path: str | Path,
    manifest_path: str | Path,
    row: ModelRow,
    evaluation: Evaluation,
    pairs: str | Path,
    lists: Row,
) -> int:
    """Write published inverted images under the ids, labels and class names of their targets; returns their number.

    Parameters
    ----------
    lmdb_path, manifest_path : files to write
    row : of the model; `inverted` is a cell as `mettle.plan.sources` knows them, whose file is there: a tensor
        (n, 3, h, w) of torch, float in [0, 1] or uint8, at the size of the model's input
    evaluation : the model, for the losses in the manifest, and the held-out images
    pairs : what `pair.listed` made of the lists
    lists : `targets` and `order` as for `pair.listed`; they say which image of the file is which

    Raises
    ------
    ValueError
        If the file is no such tensor, holds another number of images than there are pairs, or images that are no
        nearer to their own target than to another's: then the lists are not those that the images were made from.
    """
    job, store, where = evaluation.job, Store(evaluation.store), f"row '{row['model']}', column inverted"
    table = matched(pairs, store)
    source = parse(row["inverted"], where)
    with archives.taken(source.path, source.member) as file:
        job.say(f"{source.path} has SHA-256 {sha256_of(source.path)}")
        pictures = _tensor(file, f"{where}: {row['inverted']}")
    if len(pictures) != len(table):
        raise ValueError(f"{where}: {row['inverted']} holds {len(pictures)} images, the lists have {len(table)} pairs")
    rank = np.argsort(places(lists["targets"], store, lists["order"]))
    found = _looked_at(pictures[torch.from_numpy(rank)], table, evaluation)
    start, loss = found["start_loss"].mean(), found["loss"].mean()
    job.say(f"{len(table)} images; mean loss {start:.4f} at the seeds, {loss:.4f} of the images")
    if (share := (found["loss"] < found["other_loss"]).mean()) < _NEARER:
        raise ValueError(
            f"{where}: {share:.0%} of the images of {row['inverted']} are nearer to their own target than to that of "
            "another, no more than by chance: are invert.lists those that they were made from, in the right order?"
        )
    items = _items(store, table, found, row["inverted"])
    return data.write(lmdb_path, manifest_path, items, table=tables.INVERTED, provenance=job.provenance)


def _tensor(file: Path, where: str) -> Tensor:
    """Images (n, 3, h, w) in 8 bits; floats are rounded."""
    found = unpickled.read(file)
    if not isinstance(found, Tensor) or found.ndim != 4 or found.shape[1] != 3:
        kind = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise ValueError(f"{where} holds {kind}, not images (n, 3, h, w)")
    if found.dtype == torch.uint8:
        return found
    if not found.is_floating_point() or not ((found >= 0) & (found <= 1)).all():
        raise ValueError(f"{where} holds {found.dtype} outside [0, 1], neither 8 bits nor the range of pixels here")
    return found.mul(255).round().to(torch.uint8)


def _looked_at(pictures: Tensor, table: pd.DataFrame, evaluation: Evaluation) -> dict[str, np.ndarray]:
    """Images uint8 (n, h, w, 3) in the order of the table, their losses, those of the seeds, and by other targets."""
    opened = replace(evaluation, batch=max(evaluation.batch, 2)).open(scored=False)
    chosen = opened.split(np.arange(len(table)))
    asked = [np.concatenate([table["target"].iloc[part], table["seed"].iloc[part]]) for part in chosen]
    losses: dict[str, list[Tensor]] = {"start_loss": [], "loss": [], "other_loss": []}
    opened.say(len(table))
    for part, (pixels, _, _) in zip(chosen, opened.batches(asked, "inverted"), strict=True):
        targets, seeds = pixels.chunk(2)
        if pictures.shape[1:] != targets.shape[1:]:
            found, wanted = ("x".join(map(str, shape[2:])) for shape in (pictures.shape, targets.shape))
            raise ValueError(
                f"the inverted images have {found} pixels, the model of {evaluation.weights} takes {wanted}"
            )
        own = opened.policy.move(pictures[torch.from_numpy(part)].float() / 255)
        looks = (("start_loss", seeds, targets), ("loss", own, targets), ("other_loss", own, targets.roll(1, 0)))
        for key, image, wanted in looks:
            losses[key].append(relative_distance(opened.model, image, wanted, opened.policy).cpu())
    columns = {key: torch.cat(values).numpy() for key, values in losses.items()}
    return columns | {"images": pictures.permute(0, 2, 3, 1).numpy()}


def _items(store: Store, table: pd.DataFrame, found: dict[str, np.ndarray], origin: str) -> Iterator[Item]:
    about = store.manifest()
    targets, seeds = about.iloc[table["target"]], about.iloc[table["seed"]]
    values = zip(found["images"], found["start_loss"], found["loss"], strict=True)
    for target, seed, (image, start, loss) in zip(targets.itertuples(), seeds.itertuples(), values, strict=True):
        more = {"seed_id": seed.id, "start_loss": float(start), "loss": float(loss), "step": None}
        source = f"inverted from {target.source} starting at {seed.source}, published: {origin}"
        yield Item(png(np.ascontiguousarray(image)), target.label, target.class_name, source, id=target.id, more=more)
