"""A running training of a dense task: model, optimiser, progress, and the state that the rest depends on."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mettle import models, tables
from mettle.augment import prime
from mettle.data.dense import DenseSet
from mettle.data.loading import batches, shuffled
from mettle.data.store import Store
from mettle.digests import fingerprint, sha256_of
from mettle.distributed import ProcessGroup, TrainingFiles
from mettle.flow import Job
from mettle.models import optim
from mettle.models.checkpoint import Checkpoint
from mettle.models.weights import HEAD, head_state, read
from mettle.perturb import Draws
from mettle.perturb.watch import NOBODY
from mettle.seeds import derive
from mettle.stages.transfer.frozen import MapSet
from mettle.stages.transfer.kinds import KINDS
from mettle.stages.transfer.validate import score
from mettle.tasks.known import TASKS
from mettle.typed import ModelRow, Recipe

# Columns of the row that are metadata of the weights.
_OF_ROW = ("model", "dataset", "arch", "classes", "map_classes", "ignore", "threat", "eps", "seed", "recipe", "code")


def described(row: ModelRow, recipe: Recipe, job: Job) -> dict[str, Any]:
    """Metadata of a model's weights, from its row, with `transfer`, and recipe."""
    shape, asked = recipe["input"], KINDS[recipe["task"]].about
    found = {key: row.get(key) for key in _OF_ROW if key in row or key in asked}
    found |= {key: shape[key] for key in ("size", "resize", "interpolation", "scale", "mean", "std")}
    found |= {key: recipe[key] for key in asked if key in recipe}
    found |= {"task": recipe["task"], "transfer": row["transfer"]}
    found |= {"kind": HEAD, "base": row["base"]} if recipe.get("kind") == HEAD else {}
    return found | {"recipe_sha256": fingerprint(recipe), "provenance": job.provenance}


class Training:
    """Model, optimiser and progress of a training; parameters as those of `transfer`."""

    def __init__(
        self,
        row: ModelRow,
        recipe: Recipe,
        train: Store,
        test: Store,
        job: Job,
        base: Sequence[str | Path] = (),
        group: ProcessGroup | None = None,
    ) -> None:
        self.row, self.recipe, self.job, self.seed, self.group = row, recipe, job, row["seed"], group or ProcessGroup()
        self.kind, self.task, self.test = KINDS[recipe["task"]], TASKS[recipe["task"]], test
        self.policy, self.workers = self.group.policy(job, recipe["precision"])
        change = self.kind.change(recipe, row.get("ignore"))
        self.train = DenseSet(train, recipe["input"]["size"], self.kind.read, self.kind.stack, change, self.seed)
        self.updates = len(order := self._order(0))
        self.group.part(
            min(order, key=len)
        )  # no batch of any epoch is smaller: if it has one for each process, all have
        self.total = recipe.get("iterations") or recipe["epochs"] * self.updates
        self.epochs = -(-self.total // self.updates)
        model, self.report = self._model(base)
        self.model = self.policy.place(model)
        self.inputs: DenseSet | MapSet = self.train
        if self.is_head and change is None:
            watch = job if self.group.first else NOBODY
            self.inputs = MapSet(self.train, self.model.eval(), self.policy, 2 * recipe["batch_size"], watch)
        self.optimizer, self.scheduler = optim.make(self.model, recipe, self.updates, row["transfer"], self.total)
        self.epoch = self.step = 0
        self.rows: list[dict[str, Any]] = []
        self.sums = {"loss": 0.0, "n": 0, "seconds": 0.0}
        parts = [row, recipe, train.digest, test.digest, torch.__version__, self.policy.device.type]
        self.fingerprint = fingerprint(parts + [sha256_of(path) for path in base])

    def say(self, text: str) -> None:
        """One line in the log, from the first process."""
        if self.group.first:
            self.job.say(text)

    def about(self) -> dict[str, Any]:
        """Metadata of the weights."""
        return described(self.row, self.recipe, self.job) | {"class_names": self.train.targets.class_names}

    @property
    def is_head(self) -> bool:
        """Whether the network is that of the base, frozen and not saved again."""
        return self.recipe.get("kind") == HEAD

    def _model(self, base: Sequence[str | Path]) -> tuple[torch.nn.Module, dict[str, Any]]:
        """The model at its start, and what its metadata say of the base."""
        about, seed = self.about(), derive(self.seed, "init")
        if not self.is_head:
            model = self.kind.create(about, seed, self.recipe["drop_path"])
            return model, self._start(model, base)
        found, _ = models.load(base[0], any_size=True)
        return self.kind.create(about, seed, 0.0, found.network), {"base_sha256": sha256_of(base[0])}

    def _start(self, model: torch.nn.Module, base: Sequence[str | Path]) -> dict[str, Any]:
        if not base:
            return {}
        report = model.backbone.load(base[0], self.row["arch"])
        counts = ", ".join(f"{len(names)} {kind}" for kind, names in report.items())
        self.say(f"the backbone starts from {base[0]}: {counts}")
        return {"base": str(base[0]), "base_sha256": sha256_of(base[0]), "finetune": report}

    # An epoch

    @property
    def at(self) -> str:
        """How far it is, in words."""
        return f"epoch {self.epoch}, step {self.step}"

    @property
    def opening(self) -> list[str]:
        """Lines of the log at its beginning."""
        first = self.policy.sentence(len(self.train), self.recipe["batch_size"])
        return [first, optim.sentence(self.recipe, self.group.size)]

    def finish(self, checkpoint: Checkpoint) -> None:
        """The remaining epochs."""
        while self.epoch < self.epochs:
            self.one_epoch(checkpoint)

    @property
    def _done(self) -> int:
        return self.epoch * self.updates + self.step

    def _order(self, epoch: int) -> list[np.ndarray]:
        return shuffled(len(self.train), self.recipe["batch_size"], self.seed, epoch)

    def one_epoch(self, checkpoint: Checkpoint) -> None:
        """The rest of the current epoch, and its row."""
        self.inputs.epoch = self.epoch
        if self.recipe["schedule"]["by"] == "epoch":
            self.scheduler.step(self.epoch)
        end = min(self.updates, self.total - self.epoch * self.updates)
        order = self._order(self.epoch)[self.step : end]
        text = f"{self.row['model']} epoch {self.epoch + 1} of {self.epochs}"
        self.model.train()
        since = time.monotonic()
        loaded = batches(self.inputs, list(map(self.group.part, order)), self.workers)
        shown = self.job.progress(loaded, text, len(order)) if self.group.first else loaded
        for batch, all_of_it in zip(shown, order, strict=True):
            self._update(*batch, len(all_of_it))
            since, before = time.monotonic(), since
            self.sums["seconds"] += since - before
            self.group.keep(checkpoint, self.state)
        self._close_epoch()
        self.group.keep(checkpoint, self.state)

    def _update(self, images: torch.Tensor | list[torch.Tensor], targets: Any, ids: torch.Tensor, n: int) -> None:
        """One step of the optimiser on a batch of n images, of which this process has these."""
        seed = derive(self.seed, "step", self.epoch, self.step)
        torch.manual_seed(seed + self.group.rank)  # dropout, sampled proposals
        self.optimizer.zero_grad(set_to_none=True)
        targets = self.kind.move(targets, self.policy.device)
        with self.policy.autocast(), self.group.statistics("sync"):
            loss = sum(self._losses(images, targets, ids).values()) * (len(ids) / n)
        (found,) = self.group.sums(loss.item())
        if not math.isfinite(found):
            raise ValueError(
                f"training loss of {self.row['model']} is {found} at epoch {self.epoch}, step {self.step}: "
                f"lower optimizer.lr ({self.recipe['optimizer']['lr']}) of recipe '{self.row['recipe']}', or clip_norm"
            )
        loss.backward()
        self.group.add_gradients(self.model.parameters())
        optim.clip(self.model, self.recipe)
        self.optimizer.step()
        self.step += 1
        self.scheduler.step_update(self._done)
        self.sums["loss"] += found * n
        self.sums["n"] += n

    def _losses(
        self, images: torch.Tensor | list[torch.Tensor], targets: Any, ids: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Losses of a batch of images, or of the maps of a frozen network."""
        options = self.kind.options(self.recipe, self._done)
        if isinstance(self.inputs, MapSet):
            return self.model.head_losses(tuple(map(self.policy.move, images)), targets, **options)
        images = self.policy.move(images)
        if primed := self.recipe["augment"].get("prime"):
            images = prime(images, Draws(derive(self.seed, "prime", self.epoch), ids, self.policy.device), primed)
        return self.model.losses(images, targets, **options)

    def _close_epoch(self) -> None:
        rate, sums = max(group["lr"] for group in self.optimizer.param_groups), self.sums
        every, last = self.recipe["validation"]["every"], self.epoch + 1 == self.epochs
        tested = last or bool(every and (self.epoch + 1) % every == 0)
        entry = {"model": self.row["model"], "epoch": self.epoch, "updates": self._done, "lr": rate}
        entry |= {"batch": self.recipe["batch_size"], "train_loss": sums["loss"] / sums["n"]}
        entry |= {"measure": self.task.score.measure, "score": self._score() if tested else None}
        entry |= {"test_n": len(self.test) if tested else None, "n": sums["n"]}
        entry |= {"images_per_second": sums["n"] / max(sums["seconds"], 1e-9)}
        self.rows.append(entry)
        self.say(_sentence(entry))
        self.sums = dict.fromkeys(self.sums, 0)
        self.epoch, self.step = self.epoch + 1, 0

    def _score(self) -> float | None:
        return score(self.model, self.task, self.test, self.recipe["batch_size"], self.policy, self.job, self.group)

    # Its end, and its state

    def write(self, files: TrainingFiles, checkpoint: Checkpoint) -> None:
        """Write the outputs of a finished training, in the first process."""
        if not self.group.first:
            return
        tables.write(files.table, tables.TRANSFER_EPOCHS, self.rows, self.job.provenance)
        state = head_state(self.model) if self.is_head else self.model.state_dict()
        models.save(files.weights, state, self.about() | self.report | {"training": self.fingerprint})

    def is_done(self, weights: str | Path) -> bool:
        """Whether a file has the weights of exactly this training: recipe, data, seed."""
        return Path(weights).exists() and read(weights)[1].get("training") == self.fingerprint

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        found = {key: getattr(self, key) for key in ("epoch", "step", "rows", "sums")}
        model = head_state(self.model) if self.is_head else self.model.state_dict()
        return found | {"model": model, "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.model.load_state_dict(self.model.state_dict() | state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for key in ("epoch", "step", "rows", "sums"):
            setattr(self, key, state[key])
        self.scheduler.step_update(self._done)


def _sentence(entry: dict[str, Any]) -> str:
    """A row in words."""
    text = f"epoch {entry['epoch'] + 1}: loss {entry['train_loss']:.4f}"
    text += f", {entry['measure']} {entry['score']:.4f}" if entry["score"] is not None else ""
    return text + f", learning rate {entry['lr']:.3g}, {entry['images_per_second']:.1f} images/s"
