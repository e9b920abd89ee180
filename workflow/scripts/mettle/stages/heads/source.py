"""Features of training images under a frozen network: extracted once, or batch by batch where images change."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mettle import models, schema
from mettle.data.loading import ImageSet, batches, shuffled, split
from mettle.data.sample import subset
from mettle.data.store import Store
from mettle.flow import Job
from mettle.models.linear import last_blocks
from mettle.typed import HeadRecipe

Features = tuple[Tensor, Tensor]  # class tokens (n, blocks, d) and mean patch tokens (n, d)


class Source:
    """Training images of a head, as features of its network.

    Parameters
    ----------
    store : training images
    model : the base, on its device
    about : metadata of its weights
    recipe : of kind head
    seed : of order and changes
    policy : device and precision of the network
    job : threads, progress

    Attributes
    ----------
    kept, held : positions of the images that are trained on, and of those that are held out

    Raises
    ------
    ValueError
        If nothing is left to train on.
    """

    def __init__(
        self,
        store: Store,
        model: torch.nn.Module,
        about: dict[str, Any],
        recipe: HeadRecipe,
        seed: int,
        policy: models.Policy,
        job: Job,
    ) -> None:
        if recipe["holdout"] >= len(store):
            raise ValueError(f"holdout: {recipe['holdout']} of {len(store)} training images leaves none to train on")
        self.store, self.model, self.recipe, self.seed, self.policy, self.job = store, model, recipe, seed, policy, job
        self.blocks = max(recipe["blocks"])
        size = (about["size"], about["resize"])
        augment = schema.filled({"augment": recipe["augment"]}, "recipe")["augment"]
        self.plain = ImageSet(store, *size, interpolation=about["interpolation"])
        self.changed = ImageSet(store, *size, augment, seed, about["interpolation"])
        self.held = subset(len(store), recipe["holdout"], "holdout")
        self.kept = np.setdiff1d(np.arange(len(store)), self.held)

    @property
    def fixed(self) -> bool:
        """Whether images are the same in every pass, so that features are extracted once."""
        return not self.changed.random

    def extract(self, positions: np.ndarray) -> Features:
        """Features of images without random changes, in memory."""
        chosen = split(positions, 2 * self.recipe["batch_size"])
        found = self.job.progress(batches(self.plain, chosen, self.job.threads - 1), "features", len(chosen))
        parts = [self._features(images) for images, *_ in found]
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))

    @torch.no_grad()
    def _features(self, images: Tensor) -> Features:
        with self.policy.autocast():
            found = last_blocks(self.model, self.policy.move(images), self.blocks)
        return tuple(part.float() for part in found)

    def labels(self, positions: np.ndarray) -> Tensor:
        """Labels of images, on the device."""
        return torch.from_numpy(self.store.labels[positions]).to(self.policy.device)

    def updates(self, start: int) -> Iterator[tuple[Features, Tensor]]:
        """Features and labels of every update from this one on: all images once, in an order of its own, then again."""
        if self.fixed:
            features = self.extract(self.kept)
            for chosen in itertools.islice(self._order(), start, self.recipe["steps"]):
                yield tuple(part[chosen] for part in features), self.labels(self.kept[chosen])
            return
        done = 0
        for epoch in itertools.count():
            orders = shuffled(len(self.kept), self.recipe["batch_size"], self.seed, epoch)
            orders = orders[: self.recipe["steps"] - done]
            left, done = orders[max(0, start - done) :], done + len(orders)
            self.changed.epoch = epoch
            chosen = [self.kept[part] for part in left]
            for images, labels, _ in batches(self.changed, chosen, self.job.threads - 1) if chosen else ():
                yield self._features(images), labels.to(self.policy.device)
            if done >= self.recipe["steps"]:
                return

    def _order(self) -> Iterator[np.ndarray]:
        for epoch in itertools.count():
            yield from shuffled(len(self.kept), self.recipe["batch_size"], self.seed, epoch)
