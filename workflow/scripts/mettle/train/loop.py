"""Training from a recipe: standard and adversarial, repeatable from its seed, resumable at any step."""

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mettle import models, tables
from mettle.data.loading import batches
from mettle.data.store import Store
from mettle.flow import Job, derive
from mettle.perturb import Draws
from mettle.train import loggers, optim, validate
from mettle.train.checkpoint import Checkpoint
from mettle.train.ema import Average
from mettle.train.images import Images
from mettle.train.losses import LOSSES, Step
from mettle.train.mixing import mix
from mettle.train.parallel import ALONE, Crew, launch, share
from mettle.train.record import Record, scalars, sentence
from mettle.train.schedules import eps_at

Files = Sequence[str | Path]


def train(
    row: dict[str, Any],
    recipe: dict[str, Any],
    train_images: str | Path,
    test_images: str | Path,
    weights: str | Path,
    epochs: str | Path,
    resume: str | Path,
    job: Job,
    *,
    checkpoints: str | Path | None = None,
    mixed: Files = (),
    base: Files = (),
    fabric: dict[str, Any] | None = None,
    logs: str | Path | None = None,
) -> None:
    """Train a model and write its weights and its table of epochs.

    Parameters
    ----------
    row : row of models.tsv, with `classes`
    recipe : recipe with defaults filled in
    train_images, test_images : stores
    weights, epochs : files to write, safetensors and parquet
    resume : folder for the state of an unfinished training; a killed job goes on from it with the same result as if
        it had not been killed: everything random is drawn from (seed, epoch, step), nothing from the past
    job : seed, threads, log, provenance
    checkpoints : folder to make, with the weights of the recipe's `checkpoints` as epoch-000.safetensors
    mixed : store of the recipe's `mix`, and files beside it
    base : weights to start from
    fabric : the block `train` of the configuration: processes and loggers; one process and none if not given
    logs : folder of the loggers

    Raises
    ------
    ValueError
        If the recipe does not fit the images or asks for what is never measured, or if the loss is not finite.
    """
    options = {"loggers": []} | ALONE | (fabric or {})

    def work(crew: Crew) -> None:
        second = Store(mixed[0]) if mixed else None
        run = Training(row, recipe, Store(train_images), Store(test_images), job, second, base, crew)
        with Checkpoint(resume, run.fingerprint, writes=crew.first) as checkpoint:
            if state := checkpoint.load():
                run.restore(state)
                run.say(f"goes on from epoch {run.epoch}, step {run.step}")
            run.start_loggers(Path(logs or resume), options)
            while run.epoch < run.epochs:
                run.one_epoch(checkpoint)
        if crew.first:
            run.write(Path(weights), epochs, checkpoints and Path(checkpoints), checkpoint)

    launch(work, options)


def about(row: dict[str, Any], recipe: dict[str, Any], job: Job) -> dict[str, Any]:
    """Metadata of a model's weights."""
    found = {key: row[key] for key in ("model", "dataset", "arch", "classes", "threat", "eps", "seed", "recipe")}
    found |= {key: recipe["input"][key] for key in ("size", "resize", "mean", "std")}
    return found | {"recipe_sha256": _hash(recipe), "provenance": job.provenance}


class Training:
    """Model, optimiser, and how far training has come."""

    def __init__(
        self,
        row: dict[str, Any],
        recipe: dict[str, Any],
        train: Store,
        test: Store,
        job: Job,
        mixed: Store | None = None,
        base: Files = (),
        crew: Crew | None = None,
    ) -> None:
        self.row, self.recipe, self.job, self.seed, self.crew = row, recipe, job, row["seed"], crew or Crew()
        self.epochs = recipe["epochs"] + recipe["schedule"]["cooldown_epochs"]
        _check(recipe, self.epochs)
        threads = max(1, job.threads // self.crew.size)
        self.policy, self.workers = self.crew.policy(models.policy(threads, recipe["precision"])), threads - 1
        self.model, self.report = self._model(base)
        self.images = Images(recipe, self.seed, train, test, mixed)
        self.updates = len(self.images.order(0))
        self.optimizer, self.scheduler = optim.make(self.model, recipe, self.updates)
        self.average = Average(self.model, recipe["ema"]) if recipe["ema"] else None
        self.loss = LOSSES[recipe["loss"]]
        self.loggers: list[loggers.Logger] = []
        self.epoch = self.step = 0
        self.record = Record(row["model"], recipe)
        parts = [row, recipe, *self.images.digests, torch.__version__, self.policy.device.type]
        self.fingerprint = _hash(parts + [_digest(path) for path in base])

    # Set-up

    def _model(self, base: Files) -> tuple[nn.Module, dict[str, Any]]:
        source, row = self.recipe["input"], self.row
        shape = (row["arch"], row["classes"], source["size"], source["mean"], source["std"])
        model = models.create(*shape, derive(self.seed, "init"), drop_path=self.recipe["drop_path"])
        report: dict[str, Any] = {}
        for path in base:
            from mettle.models.finetune import finetune

            report = {"base": str(path), "finetune": finetune(model, path)}
            self.say(f"starts from {path}: {_counts(report['finetune'])}")
        return self.policy.place(model), report

    def start_loggers(self, folder: Path, options: dict[str, Any]) -> None:
        """The loggers of the configuration, in the first process."""
        if self.crew.first:
            name = f"{self.row['model']}-{self.fingerprint[:8]}"
            self.loggers = loggers.start(folder, name, {"row": self.row, "recipe": self.recipe}, options, self.epoch)

    def say(self, text: str) -> None:
        """One line in the log, from the first process."""
        if self.crew.first:
            self.job.say(text)

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
        shown = self.job.progress(loaded, text, len(order)) if self.crew.first else loaded
        self.model.train()
        since = time.monotonic()
        for batch, part, whole in zip(shown, parts, order, strict=True):
            lengths = [len(positions) for positions in part]
            self._update([values.split(lengths) for values in batch], len(whole))
            since, before = time.monotonic(), since
            self.record.add(seconds=since - before)
            self._keep(checkpoint)
        self._close_epoch(checkpoint)
        self._keep(checkpoint, self.epoch < self.epochs)

    def _parts(self, batch: np.ndarray) -> list[np.ndarray]:
        """The share of this process in each of the parts in which a batch is processed."""
        count = self.recipe["accumulate"]
        return [share(share(batch, k, count), self.crew.rank, self.crew.size) for k in range(count)]

    def _update(self, parts: list[Sequence[Tensor]], n: int) -> None:
        """One step of the optimiser on a batch of n images, of which this process has these parts."""
        self.optimizer.zero_grad(set_to_none=True)
        sums = [0.0] * 4
        for k, part in enumerate(zip(*parts, strict=True)):
            sums = [a + b for a, b in zip(sums, self._part(k, n, *part), strict=True)]
        loss, hits, clean_hits, clean = self.crew.sums(*sums)
        if not np.isfinite(loss):
            raise ValueError(
                f"training loss of {self.row['model']} is {loss / n} at epoch {self.epoch}, step {self.step}: "
                f"lower optimizer.lr ({self.recipe['optimizer']['lr']}) of recipe '{self.row['recipe']}', or clip_norm"
            )
        self.crew.add_gradients(self.model)
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
        torch.manual_seed(derive(self.seed, "step", self.epoch, self.step, k, self.crew.rank))  # dropout
        images, labels = self.policy.move(images), labels.to(self.policy.device)
        images, targets = self._mixed(images, labels)
        with self.crew.statistics(self.recipe["batch_norm"]):
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
    def shown(self) -> nn.Module:
        """The model that is evaluated and saved."""
        return self.average.model if self.average else self.model

    def _close_epoch(self, checkpoint: Checkpoint) -> None:
        self.crew.settle(self.model, self.recipe["batch_norm"])
        entry = self.record.close(self.epoch, self.updates, self.optimizer.param_groups[0]["lr"], self._tested())
        self.record.consider(self.shown)
        if self.crew.first and self.epoch in self.recipe["checkpoints"]:
            self._save(checkpoint.folder / _name(self.epoch), self.shown, self.epoch)
        for logger in self.loggers:
            logger.write(scalars(entry), self.epoch)
        self.say(sentence(entry))
        self.epoch, self.step = self.epoch + 1, 0

    def _tested(self) -> dict[str, Any]:
        """Columns measured on held-out images; those under attack where it is the epoch for them."""
        options, recipe = self.recipe["validation"], self.recipe
        at = (self.policy, recipe["batch_size"], self.workers, self.crew)
        images = self.images
        loss, accuracy = validate.evaluate(self.shown, images.test, images.tested, *at)
        found = {"test_loss": loss, "test_accuracy": accuracy} | validate.NOT_ATTACKED
        if "attack" in recipe and options["every"] and (self.epoch + 1) % options["every"] == 0:
            found |= validate.under_attack(self.shown, images.test, images.attacked, recipe["attack"], options, *at)
        return found

    def write(self, weights: Path, epochs: str | Path, folder: Path | None, checkpoint: Checkpoint) -> None:
        """All outputs of a training that is done; then its state is removed."""
        for logger in self.loggers:
            logger.close()
        if self.record.best:
            self.shown.load_state_dict(self.record.best["weights"])
        self._save(weights, self.shown, self.record.selected)
        tables.write(epochs, tables.EPOCHS, self.record.table(), self.job.provenance)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for epoch in self.recipe["checkpoints"]:
                shutil.copy(checkpoint.folder / _name(epoch), folder / _name(epoch))
        checkpoint.remove()

    def _save(self, path: Path, model: nn.Module, epoch: int) -> None:
        models.save(path, model, about(self.row, self.recipe, self.job) | self.report | {"epoch": epoch})

    # State

    def _keep(self, checkpoint: Checkpoint, always: bool = False) -> None:
        """Write the state if it is time, in all processes at the same step."""
        due, checkpoint.asked_to_end = self.crew.any(always or checkpoint.due(), checkpoint.asked_to_end)
        if due:
            checkpoint.save(self.state())

    def state(self) -> dict[str, Any]:
        """All that the rest of the training depends on."""
        buffers = {}
        if self.crew.size > 1 and self.recipe["batch_norm"] != "sync":
            buffers = self.crew.gather(dict(self.model.named_buffers()))
        return {
            "model": self.model.state_dict(),
            "buffers": buffers,
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.model.state_dict() if self.average else None,
            "record": self.record.state(),
            "epoch": self.epoch,
            "step": self.step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.model.load_state_dict(state["model"])
        for name, buffer in self.model.named_buffers():
            if len(found := state["buffers"].get(name, ())) == self.crew.size:
                buffer.copy_(found[self.crew.rank])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.model.load_state_dict(state["average"])
        self.record.restore(state["record"])
        self.epoch, self.step = state["epoch"], state["step"]
        if self.recipe["schedule"]["by"] == "update":
            self.scheduler.step_update(self.epoch * self.updates + self.step)


def _check(recipe: dict[str, Any], epochs: int) -> None:
    """Raise ValueError if a recipe asks for what there is not."""
    if late := [epoch for epoch in recipe["checkpoints"] if epoch >= epochs]:
        raise ValueError(f"checkpoints: epochs {late} are never reached, the last of {epochs} is {epochs - 1}")
    validation = recipe["validation"]
    if validation["select"] == "best" and "attack" in recipe and not 0 < validation["every"] <= epochs:
        raise ValueError(
            f"validation.select is 'best', but validation.every {validation['every']} measures none of {epochs} epochs"
        )


def _name(epoch: int) -> str:
    return f"epoch-{epoch:03d}.safetensors"


def _counts(report: dict[str, list[str]]) -> str:
    """How many entries of each kind, and which, but for those that were loaded as they are."""
    parts = []
    for kind, names in report.items():
        parts.append(f"{len(names)} {kind}" + (f" ({', '.join(names)})" if names and kind != "loaded" else ""))
    return ", ".join(parts)


def _digest(path: str | Path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
