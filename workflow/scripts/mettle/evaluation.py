"""The start of every evaluation: a model on its device, and the images of a store as its input, in batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mettle.data.classes import differ
from mettle.data.loading import NativeImages, Source, batches, evaluation_images, split
from mettle.data.sample import shared
from mettle.data.store import Store
from mettle.data.target_store import path_of
from mettle.digests import sha256_of
from mettle.flow import Job
from mettle.models import Classifier, Folded, Policy, folded, load, policy
from mettle.tasks.known import task_of
from mettle.tasks.task import Task

# Of a store, the metadata of a model's weights and its task, the images as the model's input.
Taken = Callable[[Store, dict[str, Any], Task], Source]


class Batch(NamedTuple):
    """A batch of images, on the model's device.

    Attributes
    ----------
    images : (n, 3, h, w) in [0, 1]
    targets : of the images, in the format of the task
    ids : keys in the store
    """

    images: Tensor
    targets: Any
    ids: list[int]


@dataclass(frozen=True)
class Evaluation:
    """A model, the images to evaluate it on, and how.

    Attributes
    ----------
    weights : file that `save` wrote
    store : path of the images
    dataset : the store's data set; samples are drawn per data set
    precision, batch : number format, and images per pass
    job : seed, threads, log
    """

    weights: Path
    store: Path
    dataset: str
    precision: str
    batch: int
    job: Job

    @classmethod
    def of(cls, snakemake: Any, job: Job) -> "Evaluation":
        """The evaluation of a rule with the inputs `weights`, `images` and the params `batch_size`, `precision`."""
        given, told = snakemake.input, snakemake.params
        precision = told.get("precision", "fp32")
        images = given.images if isinstance(given.images, str) else given.images[0]
        return cls(given.get("weights"), images, snakemake.wildcards.dataset, precision, told.batch_size, job)

    def on(self, weights: str | Path, store: str | Path) -> "Evaluation":
        """The same evaluation of another model or on other images."""
        return replace(self, weights=weights, store=store)

    @property
    def made_from(self) -> list[Any]:
        """Everything except options that decides the answers: unfinished work is stored under its hash."""
        about = [sha256_of(self.weights), Store(self.store).digest, self.job.seed, self.batch, self.precision]
        if path_of(self.store).exists():  # the manifest also has the hashes of all targets, and which of them count
            about.append(sha256_of(Path(self.store).with_suffix(".parquet")))
        device = policy(self.job.threads, self.precision, self.job.needs_cuda).device.type
        return [*about, torch.__version__, device, self.job.provenance["revision"]]

    def open(self, *, uncropped: bool = False, scored: bool = True, taken: Taken | None = None) -> "Opened":
        """Load the model onto its device in evaluation mode, and open the images as its input.

        Parameters
        ----------
        uncropped : see `evaluation_images`
        scored : whether the store's labels are compared with the model's answers
        taken : of the store, the metadata of the weights and the task, the images as the model's input; by default
            those of `evaluation_images`, or images at their own size for a task whose models take them so

        Raises
        ------
        ValueError
            If the store numbers its classes differently from those the model was trained on; and whatever `load` and
            `ImageSet` raise.
        """
        model, about = load(self.weights)
        store = Store(self.store)
        if scored and (difference := differ(about.get("class_names", ()), store.class_names)):
            raise ValueError(
                f"{self.weights}: {difference} in {store.path}: the model was trained on classes that are numbered "
                "differently"
            )
        task = task_of(about, self.weights)
        chosen = policy(self.job.threads, self.precision, self.job.needs_cuda)
        chosen = chosen.suited(model) if task.table else chosen
        if taken:
            source = taken(store, about, task)
        elif task.native:
            source = NativeImages(store)
        else:
            source = evaluation_images(store, about, uncropped=uncropped)
        return Opened(self, chosen.place(model), source, chosen, task)


@dataclass(frozen=True)
class Opened:
    """An evaluation in progress.

    Attributes
    ----------
    evaluation : the evaluation that was opened
    model : in evaluation mode on its device, with or without a faster copy
    source : the images as the model's input
    policy : device and precision of the passes
    task : the model's task
    """

    evaluation: Evaluation
    model: Classifier | Folded
    source: Source
    policy: Policy
    task: Task

    @property
    def job(self) -> Job:
        """The job that runs the evaluation."""
        return self.evaluation.job

    def faster(self) -> "Opened":
        """The same evaluation with a faster copy of the model, if there is one with the same outputs."""
        example, _, _ = self.source.__getitems__([0])
        return replace(self, model=folded(self.model, self.policy.move(example)))

    def sample(self, size: int | None) -> np.ndarray:
        """Positions of a sample of images, the same for all models of a data set; of all images if `size` is None."""
        return shared(len(self.source), size, self.job.seed, self.evaluation.dataset)

    def split(self, positions: np.ndarray) -> list[np.ndarray]:
        """Positions in batches of nearly equal length; where images come at their own size, a batch has one size."""
        return [part for group in self._alike(positions) for part in split(group, self.evaluation.batch)]

    def _alike(self, positions: np.ndarray) -> list[np.ndarray]:
        """Positions by size of the image, where models take images at their own."""
        if not self.task.native:
            return [positions]
        sizes = self.source.store.sizes()[self.source.at(positions)]
        _, group = np.unique(sizes, axis=0, return_inverse=True)
        return [positions[group == number] for number in range(group.max() + 1)]

    def say(self, n: int, about: str = "") -> None:
        """Log the number of images, the images per pass, the device and the precision."""
        self.job.say(about + self.policy.sentence(n, self.evaluation.batch))

    def batches(self, chosen: Sequence[np.ndarray], doing: str = "") -> Iterator[Batch]:
        """The batches at these positions, on the model's device.

        Parameters
        ----------
        chosen : one array of positions per batch
        doing : name of the work, for the progress line; without it there is none
        """
        found = batches(self.source, chosen, self.job.threads - 1)
        found = self.job.progress(found, doing, len(chosen)) if doing else found
        for positions, (images, _, ids) in zip(chosen, found, strict=True):
            targets = self.task.targets(self.source.store, self.source.at(positions))
            targets = targets.to(self.policy.device) if isinstance(targets, Tensor) else targets
            yield Batch(self.policy.move(images), targets, ids.tolist())
