"""Linear probes: heads trained on frozen features, several per model, all in one pass over the file.

Klabunde et al. 2025 (arXiv:2510.19427) train them in mixed precision and without seeds; here fp32, seeded.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle import models, tables
from mettle.flow import Job
from mettle.seeds import derive
from mettle.stages.probe.features import Features, bounds, look

Row = dict[str, Any]
Chunk = tuple[Tensor, Tensor]


class Probes(nn.Module):
    """Linear layers of one size side by side: `weight` (probes, classes, width), `bias` (probes, classes).

    Each starts as `torch.nn.Linear` does, uniform within 1 / sqrt(width), from a seed of its own.

    Parameters
    ----------
    width, classes : features of an image, and classes
    seeds : one per probe
    moments : mean and standard deviation (width,) by which features are standardised; left as they are without
    """

    def __init__(
        self, width: int, classes: int, seeds: list[int], moments: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        super().__init__()
        drawn = [_linear(width, classes, seed) for seed in seeds]
        self.weight, self.bias = (nn.Parameter(torch.stack(tensors)) for tensors in zip(*drawn, strict=True))
        mean, std = moments or (np.zeros(width), np.ones(width))
        self.standardised = moments is not None
        self.register_buffer("mean", torch.from_numpy(mean).float())
        self.register_buffer("std", torch.from_numpy(std).float())

    def forward(self, features: Tensor) -> Tensor:
        """Logits (probes, n, classes) of a batch (n, width) per probe."""
        return torch.baddbmm(self.bias[:, None], features, self.weight.mT)

    def take(self, features: np.ndarray) -> Tensor:
        """Features (n, width) on the probes' device, standardised if asked for; on a CPU that is done in place."""
        moved = torch.from_numpy(features).to(self.weight.device)
        return moved.sub_(self.mean).div_(self.std) if self.standardised else moved

    @torch.no_grad()
    def predict(self, features: np.ndarray, batch: int) -> np.ndarray:
        """Predicted classes (n, probes) of features (n, width), `batch` of them at a time."""
        weight, bias = self.weight.flatten(0, 1), self.bias.flatten()
        parts = (self.take(features[start : start + batch].copy()) for start in range(0, len(features), batch))
        logits = (F.linear(part, weight, bias).unflatten(1, self.bias.shape) for part in parts)
        return np.concatenate([part.argmax(2).int().cpu().numpy() for part in logits])


def _linear(width: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    rng, bound = torch.Generator().manual_seed(seed), width**-0.5
    return tuple(torch.empty(shape).uniform_(-bound, bound, generator=rng) for shape in ((classes, width), (classes,)))


def train(files: Mapping[str, str | Path], keys: Row, options: Row, classes: int, job: Job) -> tuple[Probes, list[Row]]:
    """Probes of one model after the last epoch, and the rows of the probe_epochs table.

    The last epoch is kept, not the best on the held-out images, on which models are compared. Cross-entropy, Adam
    without weight decay, learning rate on a cosine from `lr` to `min_lr` that changes once per epoch. Row groups come
    in one order for all probes; within the buffer every probe has its own order.

    Parameters
    ----------
    files : of the represent stage, for `train` and `natural`, the held-out images
    keys : dataset, model
    options : the block `probe`: probes, epochs, batch_size, lr, min_lr, normalise, buffer
    classes : number of classes; some may have no training images
    job : seed, threads, log

    Raises
    ------
    ValueError
        If features are not finite or the same for all images, the two files differ in their number, an image
        appears twice, or the training images do not fit into the buffer and are sorted by class.
    """
    train, held = (look(files[images], keys["model"], images, classes) for images in ("train", "natural"))
    _check(train, held, options["buffer"])
    seeds = [derive(job.seed, "probe", keys["dataset"], keys["model"], number) for number in range(options["probes"])]
    moments = train.moments() if options["normalise"] else None
    policy = models.policy(job.threads, needs_cuda=job.needs_cuda)
    job.say(f"{len(seeds)} probes: {policy.sentence(train.n, options['batch_size'])}")
    probes = Probes(train.width, classes, seeds, moments).to(policy.device)
    optimizer = torch.optim.Adam(probes.parameters(), lr=options["lr"], fused=True)
    rows = []
    order = derive(job.seed, "row groups", keys["dataset"], keys["model"])
    for epoch, chunks in enumerate(_epochs(train, probes, options, order, job)):
        lr = optimizer.param_groups[0]["lr"] = cosine(epoch, options)
        orders = [np.random.default_rng(derive(seed, "order", epoch)) for seed in seeds]
        losses = sum(_pass(probes, optimizer, *chunk, orders, options["batch_size"]) for chunk in chunks) / train.n
        accuracies = accuracy(probes, held, options["batch_size"])
        place = keys | {"epoch": epoch, "lr": lr, "n": train.n}
        for number, (loss, right) in enumerate(zip(losses.tolist(), accuracies.tolist(), strict=True)):
            rows.append(place | {"probe": number, "loss": loss, "accuracy": right})
    return probes, rows


def _check(train: Features, held: Features, buffer: int) -> None:
    if train.width != held.width:
        raise ValueError(f"{train.who} has {train.width} features, {held.who} has {held.width}")
    if train.n > buffer and train.spread < 0.5:
        raise ValueError(
            f"{train.who}: {train.n} images are sorted by class and do not fit into probe.buffer of {buffer}: a probe "
            "would see few classes at a time; represent them in random order, or raise probe.buffer"
        )
    if constant := [features.who for features in (train, held) if features.constant]:
        raise ValueError(f"{constant[0]}: features are constant over images")


def _epochs(train: Features, probes: Probes, options: Row, seed: int, job: Job) -> Iterator[Iterable[Chunk]]:
    """The chunks of each epoch, on the device; what fits into the buffer is read once."""

    def read(epoch: int) -> Iterator[Chunk]:
        for features, labels in train.chunks(options["buffer"], np.random.default_rng(derive(seed, epoch))):
            yield probes.take(features), torch.from_numpy(labels).to(probes.weight.device)

    buffered = list(read(0)) if train.n <= options["buffer"] else None
    for epoch in job.progress(range(options["epochs"]), "epochs"):
        yield buffered or read(epoch)


def cosine(epoch: int, options: Row) -> float:
    """Learning rate of an epoch, from `lr` in the first towards `min_lr` after the last."""
    share = (1 + math.cos(math.pi * epoch / options["epochs"])) / 2
    return options["min_lr"] + (options["lr"] - options["min_lr"]) * share


def _pass(
    probes: Probes, optimizer: torch.optim.Optimizer, features: Tensor, labels: Tensor, orders: list, batch: int
) -> np.ndarray:
    """Train on every image of a chunk once; sums of the losses (probes,)."""
    rows = torch.from_numpy(np.stack([rng.permutation(len(labels)) for rng in orders])).to(labels.device)
    total = torch.zeros(len(orders), dtype=torch.float64, device=labels.device)
    for chosen in rows.split(bounds(len(labels), batch), dim=1):
        taken = features.index_select(0, chosen.flatten()).unflatten(0, chosen.shape)  # faster than features[chosen]
        logits = probes(taken).flatten(0, 1)
        losses = F.cross_entropy(logits, labels[chosen].flatten(), reduction="none").view_as(chosen)
        optimizer.zero_grad()
        losses.mean(1).sum().backward()
        optimizer.step()
        total += losses.detach().sum(1, dtype=torch.float64)
    return total.cpu().numpy()


def accuracy(probes: Probes, held: Features, batch: int) -> np.ndarray:
    """Fraction (probes,) of images that each probe classifies correctly."""
    parts = held.groups("features", "label")
    right = sum((probes.predict(rows["features"], batch) == rows["label"][:, None]).sum(0) for rows in parts)
    return right / held.n


def answers(probes: Probes, files: Mapping[str, str | Path], keys: Row, batch: int) -> Iterator[Row]:
    """Columns of the probe table, a row group of the represent stage's files after the other.

    Parameters
    ----------
    probes : trained probes
    files : of the represent stage by image set
    keys : dataset, model
    batch : images per pass
    """
    for images, path in files.items():
        for rows in tables.read_groups(path, tables.REPRESENT, ["id", "label", "prediction", "features"]):
            found = probes.predict(rows.pop("features"), batch)
            constant = {key: [value] * len(found) for key, value in (keys | {"images": images}).items()}
            yield constant | rows | {"probes": found}
