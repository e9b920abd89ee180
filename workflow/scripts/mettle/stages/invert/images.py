"""A store of inverted images: each is represented like its target, although it started from its seed.

Klabunde et al. 2025; the published code truncates to 8 bits, here values are rounded.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mettle import data, tables
from mettle.data.item import Item, png
from mettle.data.store import Store
from mettle.digests import fingerprint
from mettle.evaluation import Evaluation
from mettle.flow import Job
from mettle.flow.parts import Parts
from mettle.models import Classifier, Policy
from mettle.models.checkpoint import Checkpoint
from mettle.stages.invert.descent import invert, relative_distance

_OWN = ("steps", "step_size", "momentum")


def write_inverted(
    lmdb_path: str | Path,
    manifest_path: str | Path,
    evaluation: Evaluation,
    pairs: str | Path,
    options: dict[str, Any],
    resume: str | Path,
) -> int:
    """Write one inverted image per pair, under the id, label and class name of the target.

    Parameters
    ----------
    lmdb_path, manifest_path : files to write
    evaluation : the model, at the size of whose input images are made, and the held-out images
    pairs : seeds and targets among them, by id
    options : of the block `invert`: steps, step_size, momentum, checkpoint_seconds
    resume : folder for finished batches and the state of the current one, removed at the end; a killed job resumes
        from them with the same result

    Returns
    -------
    Number of images written, that of the pairs.

    Raises
    ------
    ValueError
        If the pairs are not of this store, or what `descent.invert` raises.
    """
    store, job = Store(evaluation.store), evaluation.job
    table = matched(pairs, store)
    parts = _finished(evaluation, table, options, resume)
    items = _items(store, table, parts)
    n = data.write(lmdb_path, manifest_path, items, table=tables.INVERTED, provenance=job.provenance)
    job.say(f"{n} images; mean loss {_means(parts)}")
    parts.remove()  # not before the store is complete: the parts took hours
    return n


def _finished(evaluation: Evaluation, table: pd.DataFrame, options: dict[str, Any], resume: str | Path) -> Parts:
    """All inverted batches: those that were finished before, and the others."""
    opened, job = evaluation.open(scored=False), evaluation.job
    chosen = opened.split(np.arange(len(table)))
    pairs = fingerprint(table[["id", "seed_id"]].to_numpy().tolist())
    made_from = [*evaluation.made_from, pairs, {key: options[key] for key in _OWN}]
    parts = Parts(resume, made_from, len(chosen))
    if parts.done:
        job.say(f"resuming with {len(parts.done)} of {len(chosen)} batches done")
    opened.say(len(table))
    rows = [table.iloc[chosen[number]] for number in parts.left]
    left = opened.batches([np.concatenate([part["target"], part["seed"]]) for part in rows], "invert")
    with Checkpoint(parts.own, fingerprint(made_from), options["checkpoint_seconds"]) as checkpoint:
        for number, (pixels, _, ids) in zip(parts.left, left, strict=True):
            targets, seeds = pixels.chunk(2)
            how = {key: options[key] for key in _OWN} | _going_on(checkpoint, number, job)
            try:
                found = invert_batch(opened.model, seeds, targets, opened.policy, ids=ids[: len(targets)], **how)
            except ValueError as error:
                raise ValueError(f"{evaluation.weights} on {evaluation.store}: {error}") from error
            parts.save(number, found)
            checkpoint.end_if_asked()
    return parts


def _going_on(checkpoint: Checkpoint, number: int, job: Job) -> dict[str, Any]:
    """Options by which the inversion of a batch resumes, and saves its state."""
    found = checkpoint.load() or {"number": None}
    state = found["state"] if found["number"] == number else None
    if state:
        job.say(f"resuming in batch {number + 1}, after {state['step']} steps")

    def keep(state: Callable[[], dict[str, Any]]) -> None:
        checkpoint.keep(lambda: {"number": number, "state": state()})

    return {"watch": job, "state": state, "keep": keep}


def matched(pairs: str | Path, store: Store) -> pd.DataFrame:
    """Rows of the pairs table, with the positions of `target` and `seed` in the store.

    Raises
    ------
    ValueError
        If there are no rows, an id is not in the store or has another label there, targets do not increase, or both
        labels of a pair are one.
    """
    table = tables.read(pairs, tables.PAIRS)
    if table.empty:
        raise ValueError(f"{pairs} holds no pairs")
    for role, key, label in (("target", "id", "label"), ("seed", "seed_id", "seed_label")):
        places = pd.Index(store.ids).get_indexer(table[key])
        wrong = (places < 0) | (store.labels[places] != table[label].to_numpy())
        if wrong.any():
            row = table[wrong].iloc[0]
            raise ValueError(
                f"{pairs}: {role} {row[key]} of class {row[label]} is not in {store.path}: draw the pairs anew"
            )
        table[role] = places
    if (wrong := np.flatnonzero(np.diff(table["id"]) <= 0)).size:
        number = table["id"].iloc[wrong[0] + 1]
        raise ValueError(f"{pairs}: target {number} appears twice or out of order: draw the pairs anew")
    if (same := table["label"] == table["seed_label"]).any():
        raise ValueError(f"{pairs}: target {table['id'][same].iloc[0]} has a seed of its own class")
    return table


def invert_batch(
    model: Classifier, seeds: Tensor, targets: Tensor, policy: Policy, **options: Any
) -> dict[str, np.ndarray]:
    """Images of one batch in 8 bits, uint8 (n, h, w, 3), their losses before and after rounding, and their steps."""
    found = invert(model, seeds, targets, policy=policy, **options)
    rounded = found.images.mul(255).round()
    columns = {
        "images": rounded.to(torch.uint8).permute(0, 2, 3, 1),
        "start_loss": found.start,
        "loss": found.loss,
        "rounded_loss": relative_distance(model, rounded / 255, targets, policy),
        "step": found.step,
    }
    return {key: value.cpu().numpy() for key, value in columns.items()}


def _items(store: Store, table: pd.DataFrame, parts: Parts) -> Iterator[Item]:
    about = store.manifest()
    targets, seeds = about.iloc[table["target"]], about.iloc[table["seed"]]
    found = zip(
        *(chain.from_iterable(parts.each(key)) for key in ("images", "start_loss", "loss", "step")), strict=True
    )
    for target, seed, values in zip(targets.itertuples(), seeds.itertuples(), found, strict=True):
        image, start, loss, step = values
        more = {"seed_id": seed.id, "start_loss": float(start), "loss": float(loss), "step": int(step)}
        source = f"inverted from {target.source} starting at {seed.source}"
        yield Item(png(image), target.label, target.class_name, source, id=target.id, more=more)


def _means(parts: Parts) -> str:
    start, kept, rounded = (
        np.concatenate(list(parts.each(key))).mean() for key in ("start_loss", "loss", "rounded_loss")
    )
    return f"{start:.4f} at the seeds, {kept:.4f} of what was kept, {rounded:.4f} after rounding to 8 bits"
