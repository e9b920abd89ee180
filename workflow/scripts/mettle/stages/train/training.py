"""A running training: model, optimiser, progress, and the state that the rest depends on."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mettle import models, tables
from mettle.data.loading import batches
from mettle.data.store import Store
from mettle.digests import fingerprint, sha256_of
from mettle.distributed import ProcessGroup, TrainingFiles, portion
from mettle.files import atomic
from mettle.flow import Job
from mettle.models import optim, transfer
from mettle.models.checkpoint import Checkpoint
from mettle.models.loggers import Logger, open_all, run_of
from mettle.models.weights import read
from mettle.perturb import Draws
from mettle.perturb.watch import NOBODY
from mettle.plan.trained import check_epochs
from mettle.seeds import derive
from mettle.stages.train import validate
from mettle.stages.train.check import check_statistics, of_recipe
from mettle.stages.train.ema import Average
from mettle.stages.train.images import Images
from mettle.stages.train.losses import Step, named
from mettle.stages.train.mixing import mix
from mettle.stages.train.record import Record, scalars, sentence
from mettle.stages.train.schedules import eps_at
from mettle.stages.train.start import start
from mettle.stages.train.views import primed
from mettle.typed import ModelRow, Recipe


def about(row: ModelRow, recipe: Recipe, job: Job) -> dict[str, Any]:
    """Metadata of a model's weights."""
    found = {key: row[key] for key in ("model", "dataset", "arch", "classes", "threat", "eps", "seed", "recipe")}
    found |= {key: row[key] for key in ("code", "transfer") if key in row}
    found |= {key: recipe["input"][key] for key in ("size", "resize", "interpolation", "mean", "std")}
    task = "classification" if row["classes"] else "features"
    return found | {"task": task, "recipe_sha256": fingerprint(recipe), "provenance": job.provenance}


class Training:
    """Model, optimiser and progress of a training."""

    def __init__(
        self,
        row: ModelRow,
        recipe: Recipe,
        train: Store,
        test: Store,
        job: Job,
        mixed: Store | None = None,
        base: Sequence[str | Path] = (),
        group: ProcessGroup | None = None,
    ) -> None:
        self.row, self.recipe, self.job, self.seed, self.group = row, recipe, job, row["seed"], group or ProcessGroup()
        self.epochs = recipe["epochs"] + recipe["schedule"]["cooldown_epochs"]
        policy, self.workers = self.group.policy(job, recipe["precision"])
        self.transfer = row.get("transfer", "full")
        model, self.report = start(row, recipe, base, self.say)
        self.policy = self.group.suited(model, policy)
        self.loss = named(recipe["loss"], row.get("loss_code", {}))
        with of_recipe(row["recipe"]):
            self.group.check(recipe, self.transfer)
            check_epochs(recipe)
            by_file = 1 if "prime" in recipe["augment"] else self.loss.views
            self.images = Images(row, recipe, train, test, mixed, by_file)
            order = self.images.order(0)
            smallest = min(order, key=len)  # no batch of any epoch is smaller: if it has a portion for each, all have
            self._parts(smallest)
            check_statistics(model, smallest, recipe, self.group.size)
        self.updates = len(order)
        self.average = Average(model, recipe["ema"]) if recipe["ema"] else None
        self.model = self.group.placed(model, self.policy, self.say)
        if self.average:
            self.average.model = self.group.placed(self.average.model, self.policy, self.say)
        self.optimizer, self.scheduler = optim.make(self.model, recipe, self.updates, self.transfer)
        self.loggers: list[Logger] = []
        self.pictures = 0  # validation images that loggers show
        self.epoch = self.step = 0
        self.record = Record(row["model"], recipe)
        parts = [row, recipe, *self.images.digests, torch.__version__, self.policy.device.type]
        self.fingerprint = fingerprint(parts + [sha256_of(path) for path in base])

    @contextmanager
    def logged(self, parent: Path, options: dict[str, Any]) -> Iterator[None]:
        """Context with the loggers of the configuration, in the first process; all compute its pictures."""
        self.pictures = options["images"] if options["loggers"] else 0
        mine = options if self.group.first else options | {"loggers": []}
        run = run_of(self.row | {"training": self.fingerprint}, options, self.epoch, settings=self.recipe)
        with open_all(parent, run, mine) as self.loggers:
            yield

    def say(self, text: str) -> None:
        """One line in the log, from the first process."""
        if self.group.first:
            self.job.say(text)

    @property
    def at(self) -> str:
        """How far it is, in words."""
        return f"epoch {self.epoch}, step {self.step}"

    @property
    def opening(self) -> list[str]:
        """Lines of the log at its beginning."""
        n = sum(map(len, self.images.order(0)))
        return [self.policy.sentence(n, self.recipe["batch_size"]), optim.sentence(self.recipe, self.group.size)]

    def finish(self, checkpoint: Checkpoint) -> None:
        """The remaining epochs."""
        while self.epoch < self.epochs:
            self.one_epoch(checkpoint)

    # An epoch

    def one_epoch(self, checkpoint: Checkpoint) -> None:
        """The rest of the current epoch, and its row."""
        self.images.train.epoch = self.epoch
        if self.recipe["schedule"]["by"] == "epoch":
            self.scheduler.step(self.epoch)
        order = self.images.order(self.epoch)[self.step :]
        parts = [self._parts(batch) for batch in order]
        loaded = batches(self.images.train, [np.concatenate(part) for part in parts], self.workers)
        text = f"{self.row['model']} epoch {self.epoch + 1} of {self.epochs}"
        shown = self.job.progress(loaded, text, len(order)) if self.group.first else loaded
        transfer.training(self.model, self.transfer)
        since = time.monotonic()
        for batch, part, all_of_it in zip(shown, parts, order, strict=True):
            lengths = [len(positions) for positions in part]
            self._update([values.split(lengths) for values in batch], len(all_of_it))
            since, before = time.monotonic(), since
            self.record.add(seconds=since - before)
            self.group.keep(checkpoint, self.state)
        self._close_epoch(checkpoint)
        self.group.keep(checkpoint, self.state, self.epoch < self.epochs)

    def _parts(self, batch: np.ndarray) -> list[np.ndarray]:
        """The portion of this process in each of the parts in which a batch is processed."""
        count = self.recipe["accumulate"]
        return [portion(portion(batch, k, count), self.group.rank, self.group.size) for k in range(count)]

    def _update(self, parts: list[Sequence[Tensor]], n: int) -> None:
        """One step of the optimiser on a batch of n images, of which this process has these parts."""
        self.optimizer.zero_grad(set_to_none=True)
        sums = [0.0] * 4
        for k, part in enumerate(zip(*parts, strict=True)):
            sums = [a + b for a, b in zip(sums, self._part(k, n, *part), strict=True)]
        loss, hits, clean_hits, clean = self.group.sums(*sums)
        if not np.isfinite(loss):
            raise ValueError(
                f"training loss of {self.row['model']} is {loss / n} at epoch {self.epoch}, step {self.step}: "
                f"lower optimizer.lr ({self.recipe['optimizer']['lr']}) of recipe '{self.row['recipe']}', or clip_norm"
            )
        self.group.add_gradients(self.model.parameters())
        optim.clip(self.model, self.recipe)
        self.optimizer.step()
        if self.average:
            self.average.update(self.model)
        self.step += 1
        if self.recipe["schedule"]["by"] == "update":
            self.scheduler.step_update(self.epoch * self.updates + self.step)
        self.record.add(loss=loss, hits=hits, clean_hits=clean_hits, clean=clean, n=n)

    def _part(self, k: int, n: int, images: Tensor, labels: Tensor, ids: Tensor) -> tuple[float, ...]:
        """Gradients of a part of a batch of n images; its sums of loss, hits, clean hits, images with clean answers."""
        torch.manual_seed(derive(self.seed, "step", self.epoch, self.step, k, self.group.rank))  # dropout
        images, labels = self.policy.move(images), labels.to(self.policy.device)
        augment, seed = self.recipe["augment"], (self.seed, self.epoch)
        images = primed(images, ids, augment, self.loss.views, seed, self.policy)
        images, targets = self._mixed(images, labels)
        with self.group.statistics(self.recipe["batch_norm"]):
            loss, clean, attacked = self.loss.run(self.model, images, targets, self._now(ids))
        (loss * (len(images) / n)).backward()
        classes = targets if targets.ndim == 1 else targets.argmax(1)
        hits, clean_hits = (
            0.0 if logits is None else (logits.argmax(1) == classes).sum().item()
            for logits in (clean if attacked is None else attacked, clean)
        )
        return loss.item() * len(images), hits, clean_hits, 0.0 if clean is None else len(images)

    def _mixed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        augment = self.recipe["augment"]
        if self.epoch >= self.epochs - augment["epochs_without_mixup"]:
            return images, labels
        return mix(images, labels, self.row["classes"], augment, derive(self.seed, "mixup", self.epoch, self.step))

    def _now(self, ids: Tensor) -> Step:
        progress, attack = self.epoch + self.step / self.updates, self.recipe.get("attack")
        eps = eps_at(attack, progress) if attack else 0.0
        draws = Draws(derive(self.seed, "attack", self.epoch), ids, self.policy.device)
        return Step(self.epoch, progress, eps, self.row["classes"], draws, self.policy, self.recipe)

    # Its end

    @property
    def _models(self) -> list[nn.Module]:
        return [self.model, self.average.model] if self.average else [self.model]

    @property
    def shown(self) -> nn.Module:
        """The model that is evaluated and saved."""
        return self._models[-1]

    def _close_epoch(self, checkpoint: Checkpoint) -> None:
        for model in self._models:
            self.group.settle(model, self.recipe["batch_norm"])
        entry = self.record.close(self.epoch, self.updates, self.optimizer.param_groups[0]["lr"], self._tested())
        self.record.consider(lambda: self.group.weights(self.shown))
        if self.epoch in self.recipe["checkpoints"]:
            self._save(checkpoint.folder / _name(self.epoch), self.group.weights(self.shown), self.epoch)
        self._log(entry)
        self.say(sentence(entry))
        self.epoch, self.step = self.epoch + 1, 0

    def _log(self, entry: dict[str, Any]) -> None:
        images, shown = self.images, {}
        if self.pictures:
            chosen = images.attacked[: self.pictures]
            shown = validate.pictures(self.shown, images.test, chosen, self.recipe, self.policy)
        for logger in self.loggers:
            logger.write(scalars(entry), self.epoch)
            logger.show(shown, self.epoch)

    def _tested(self) -> dict[str, Any]:
        """Columns measured on held-out images; those under attack where it is the epoch for them."""
        options, recipe = self.recipe["validation"], self.recipe
        size = max(1, recipe["batch_size"] // (recipe["accumulate"] * self.group.size))  # as in training
        watch = self.job if self.group.first else NOBODY
        passes = validate.Passes(self.policy, size, self.workers, self.group, watch)
        images = self.images
        loss, accuracy = validate.evaluate(self.shown, images.test, images.tested, passes)
        found = {"test_loss": loss, "test_accuracy": accuracy, "test_n": len(images.tested)} | validate.NOT_ATTACKED
        if "attack" in recipe and options["every"] and (self.epoch + 1) % options["every"] == 0:
            found |= validate.under_attack(self.shown, images.test, images.attacked, recipe["attack"], options, passes)
        return found

    def write(self, files: TrainingFiles, checkpoint: Checkpoint) -> None:
        """Write the outputs of a finished training, in the first process."""
        state = self.record.best["weights"] if self.record.best else self.group.weights(self.shown)
        if not self.group.first:
            return
        tables.write(files.table, tables.EPOCHS, self.record.table(), self.job.provenance)
        if files.checkpoints:
            folder = Path(files.checkpoints)
            folder.mkdir(parents=True, exist_ok=True)
            for epoch in self.recipe["checkpoints"]:
                with atomic(folder / _name(epoch)) as tmp:
                    shutil.copy(checkpoint.folder / _name(epoch), tmp)
        self._save(Path(files.weights), state, self.record.selected)  # last, so that all outputs exist if they do

    def is_done(self, weights: str | Path) -> bool:
        """Whether a file has the weights of exactly this training: recipe, data, seed."""
        return Path(weights).exists() and read(weights)[1].get("training") == self.fingerprint

    def _save(self, path: Path, state: dict[str, Tensor], epoch: int) -> None:
        if not self.group.first:
            return
        found = about(self.row, self.recipe, self.job) | {"training": self.fingerprint}
        found["class_names"] = self.images.class_names
        models.save(path, state, found | self.report | {"epoch": epoch})

    # State

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        buffers = []
        if self.group.size > 1 and self.recipe["batch_norm"] != "sync":
            buffers = [self.group.gather(dict(model.named_buffers())) for model in self._models]
        return {
            "models": [self.group.full(model.state_dict()) for model in self._models],
            "buffers": buffers,  # of each process, where they differ
            "optimizer": self.group.full(self.optimizer.state_dict()),
            "record": self.record.state(),
            "epoch": self.epoch,
            "step": self.step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        for model, found in zip(self._models, state["models"], strict=True):
            self.group.load(model, found)
        for model, found in zip(self._models, state["buffers"], strict=False):
            for name, buffer in model.named_buffers():
                if len(found[name]) == self.group.size:
                    buffer.copy_(found[name][self.group.rank])
        self.group.load(self.optimizer, state["optimizer"])
        self.record.restore(state["record"])
        self.epoch, self.step = state["epoch"], state["step"]
        if self.recipe["schedule"]["by"] == "update":
            self.scheduler.step_update(self.epoch * self.updates + self.step)


def _name(epoch: int) -> str:
    return f"epoch-{epoch:03d}.safetensors"
