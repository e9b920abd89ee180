"""
Attacked images of all updates of a training of robustness tokens, made once for every training that has them in common.

An attack through the network without tokens does not depend on them. Trainings that attack alike, such as an ablation
of the number of tokens, can share its images (Pulfer et al. 2024, arXiv:2503.10191, attack anew in each).
"""

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mettle import models, tables
from mettle.data.loading import batches, evaluation_images
from mettle.data.store import Store
from mettle.digests import sha256_of
from mettle.files import atomic
from mettle.flow import Job
from mettle.flow.parts import Parts
from mettle.models.features import Features
from mettle.perturb.features import LIKENESS
from mettle.stages.tokens.attacks import attacked, order
from mettle.typed import SharedAttack


def share(
    told: SharedAttack,
    store: str | Path,
    base: str | Path,
    target: str | Path,
    table: str | Path,
    resume: str | Path,
    job: Job,
) -> None:
    """Write the attacked images of all updates, and a table of them.

    Parameters
    ----------
    told : seed, steps, batch_size and attack of the trainings, and their precision
    store : of the training images
    base : weights of the network, which has no tokens
    target : file to write: a float32 array (images of all updates, 3, h, w) in the format of NumPy
    table : parquet file to write, with a row for each of them in the same order
    resume : folder for finished updates; a killed job resumes from them with the same result
    job : threads, log, provenance

    Raises
    ------
    ValueError
        If the network of the base is no vision transformer.
    """
    policy, workers = models.policy(job.threads, told["precision"], job.needs_cuda), job.threads - 1
    model, about = models.load(base)
    features = policy.place(Features(model.requires_grad_(False))).eval()
    loaded = evaluation_images(Store(store), about)
    every = itertools.islice(order(len(loaded), told["batch_size"], told["seed"]), told["steps"])
    chosen, made_from = list(every), [told, loaded.store.digest, sha256_of(base), torch.__version__, policy.device.type]
    parts = Parts(resume, made_from, told["steps"])
    if parts.done:
        job.say(f"resuming: {len(parts.done)} of {told['steps']} batches are attacked")
    job.say(policy.sentence(len(loaded), told["batch_size"]))
    left = batches(loaded, [chosen[step] for step in parts.left], workers)
    steps = job.progress(zip(parts.left, left, strict=True), "attacked images of all updates", len(parts.left))
    for step, (clean, _, ids) in steps:
        parts.save(step, _update(features, policy, policy.move(clean), ids, step, told))
    _write(target, sum(map(len, chosen)), parts.each("images"))
    columns = {key: np.concatenate(list(parts.each(key))) for key in ("step", "id", "plain", "image_mse")}
    tables.write(table, tables.SHARED_ATTACK, columns, job.provenance)
    parts.remove()


@torch.no_grad()
def _update(
    features: Features, policy: models.Policy, clean: Tensor, ids: Tensor, step: int, told: SharedAttack
) -> dict[str, np.ndarray]:
    """Attacked images of an update, and their columns of the table."""
    likeness = LIKENESS[told["attack"]["similarity"]]
    with policy.autocast():
        plain = features(clean).float()
    images = attacked(features, clean, plain, ids, told["attack"], (told["seed"], step), policy)
    with policy.autocast():
        alike = likeness(features(images).float(), plain)
    error = (images - clean).square().flatten(1).mean(1)
    found = {"images": images, "plain": alike.double(), "image_mse": error.double()}
    return {key: value.cpu().numpy() for key, value in found.items()} | {
        "step": np.full(len(ids), step),
        "id": ids.numpy(),
    }


def _write(target: str | Path, n: int, parts: Iterable[np.ndarray]) -> None:
    """Write arrays one after the other; one of them is in memory at a time."""
    with atomic(target) as tmp:
        file, at = None, 0
        for part in parts:
            if file is None:
                shape = (n, *part.shape[1:])
                file = np.lib.format.open_memmap(tmp, mode="w+", dtype=np.float32, shape=shape)
            file[at : at + len(part)] = part
            at += len(part)
        file.flush()


class Shared:
    """The files that `share` wrote.

    Parameters
    ----------
    images : the array; the table lies beside it

    Raises
    ------
    ValueError
        If the files do not belong together.
    """

    def __init__(self, images: str | Path) -> None:
        self.path = Path(images)
        self.images = np.load(images, mmap_mode="r", allow_pickle=False)
        self.table = tables.read(self.path.with_suffix(".parquet"), tables.SHARED_ATTACK)
        if len(self.table) != len(self.images):
            raise ValueError(
                f"{self.path} holds {len(self.images)} images, the table beside it {len(self.table)} rows: delete both"
            )
        self.rows = self.table.groupby("step").indices

    def at(self, step: int, part: np.ndarray, ids: Tensor) -> tuple[Tensor, pd.DataFrame]:
        """Attacked images of one process in an update, and their rows of the table.

        Parameters
        ----------
        step : number of the update
        part : positions in the update of the images of this process
        ids : of the clean images, in their order

        Raises
        ------
        ValueError
            If they are of other images.
        """
        rows = self.rows.get(step, np.zeros(0, np.int64))
        rows = rows[part[part < len(rows)]]
        found = self.table.iloc[rows]
        if found["id"].tolist() != ids.tolist():
            raise ValueError(f"{self.path} has other images in update {step}: delete it and the table beside it")
        return torch.from_numpy(self.images[rows]), found
