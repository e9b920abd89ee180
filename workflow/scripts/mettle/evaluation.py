"""What every evaluation opens with: a model on its device, and the images of a store as it takes them, in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mettle.data.classes import differ
from mettle.data.loading import ImageSet, batches, evaluation_images, split
from mettle.data.sample import shared
from mettle.data.store import Store
from mettle.digests import sha256_of
from mettle.flow import Job
from mettle.models import Classifier, Folded, Policy, folded, load, policy
from mettle.tasks.known import task_of
from mettle.tasks.task import Task


class Batch(NamedTuple):
    """Images of a batch on the device of the model.

    Attributes
    ----------
    images : (n, 3, h, w) in [0, 1]
    targets : of the images, as their task has them
    ids : keys in the store
    """

    images: Tensor
    targets: Tensor
    ids: list[int]


@dataclass(frozen=True)
class Evaluation:
    """A model, the images that it is evaluated on, and how.

    Attributes
    ----------
    weights : file that `save` wrote
    images : store of the images
    dataset : its data set, for which samples are drawn
    precision, batch : number format and images per pass
    job : seed, threads, log
    """

    weights: Path
    images: Path
    dataset: str
    precision: str
    batch: int
    job: Job

    @classmethod
    def of(cls, snakemake: Any, job: Job) -> "Evaluation":
        """The evaluation of a rule with the inputs `weights` and `images` and the params `precision`, `batch_size`."""
        given, told = snakemake.input, snakemake.params
        images = given.images if isinstance(given.images, str) else given.images[0]
        return cls(given.get("weights"), images, snakemake.wildcards.dataset, told.precision, told.batch_size, job)

    def on(self, weights: str | Path, images: str | Path) -> "Evaluation":
        """The same of another model or on other images."""
        return replace(self, weights=weights, images=images)

    @property
    def made_from(self) -> list[Any]:
        """What decides the answers, but for options: for the name under which unfinished work is kept."""
        about = [sha256_of(self.weights), Store(self.images).digest, self.job.seed, self.batch, self.precision]
        device = policy(self.job.threads, self.precision, self.job.needs_cuda).device.type
        return [*about, torch.__version__, device, self.job.provenance["revision"]]

    def open(self, *, uncropped: bool = False, scored: bool = True) -> "Opened":
        """The model in evaluation mode on its device, and the images as it takes them.

        Parameters
        ----------
        uncropped : see `evaluation_images`
        scored : whether the store's labels are compared with the model's answers

        Raises
        ------
        ValueError
            If a label is the name of another class than the one that the model was trained to answer with; and what
            `load` and `ImageSet` raise.
        """
        model, about = load(self.weights)
        store = Store(self.images)
        if scored and (difference := differ(about.get("class_names", ()), store.class_names)):
            raise ValueError(
                f"{self.weights}: {difference} in {store.path}: the model was trained on classes that are numbered "
                "differently"
            )
        chosen = policy(self.job.threads, self.precision, self.job.needs_cuda).suited(model)
        source = evaluation_images(store, about, uncropped=uncropped)
        return Opened(self, chosen.place(model), source, chosen, task_of(about, self.weights))


@dataclass(frozen=True)
class Opened:
    """An evaluation at work.

    Attributes
    ----------
    evaluation : what was opened
    model : in evaluation mode on its device, with or without a faster copy beside it
    source : the images as it takes them
    policy : device and precision of the passes
    task : of the model
    """

    evaluation: Evaluation
    model: Classifier | Folded
    source: ImageSet
    policy: Policy
    task: Task

    @property
    def job(self) -> Job:
        """The job that evaluates."""
        return self.evaluation.job

    def faster(self) -> "Opened":
        """The same with a faster copy beside the model, where there is one that answers the same."""
        example, _, _ = self.source.__getitems__([0])
        return replace(self, model=folded(self.model, self.policy.move(example)))

    def sample(self, size: int | None) -> np.ndarray:
        """Positions of a sample of the images, the same for all models of a data set; all without a size."""
        return shared(len(self.source), size, self.job.seed, self.evaluation.dataset)

    def split(self, positions: np.ndarray) -> list[np.ndarray]:
        """Positions in batches of nearly equal size."""
        return split(positions, self.evaluation.batch)

    def say(self, images: int, about: str = "") -> None:
        """Say on which device, in which precision and how many images a pass so many images are evaluated."""
        self.job.say(about + self.policy.sentence(images, self.evaluation.batch))

    def batches(self, chosen: Sequence[np.ndarray], doing: str = "") -> Iterator[Batch]:
        """The batches at these positions, on the device of the model.

        Parameters
        ----------
        chosen : one array of positions per batch
        doing : what is done to them, for the lines of progress; none without
        """
        found = batches(self.source, chosen, self.job.threads - 1)
        found = self.job.progress(found, doing, len(chosen)) if doing else found
        for positions, (images, _, ids) in zip(chosen, found, strict=True):
            targets = self.task.targets(self.source.store, positions)
            yield Batch(self.policy.move(images), targets.to(self.policy.device), ids.tolist())
