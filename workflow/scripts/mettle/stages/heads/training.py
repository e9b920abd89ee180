"""A running training of heads: heads, optimiser, progress, and the state that the rest depends on."""

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mettle import models, tables
from mettle.data.store import Store, check_labels
from mettle.digests import fingerprint, sha256_of
from mettle.distributed import TrainingFiles
from mettle.flow import Job
from mettle.models.checkpoint import Checkpoint
from mettle.models.linear import joined, width
from mettle.models.weights import read
from mettle.seeds import derive
from mettle.stages.heads.record import described
from mettle.stages.heads.source import Source
from mettle.stages.heads.sweep import Heads, Setting
from mettle.typed import HeadRecipe, ModelRow

_BASE_BATCH = 256  # that learning rates are meant for, where they are scaled


class Training:
    """Heads, optimiser and progress of a training; parameters as those of `fit`."""

    def __init__(self, row: ModelRow, recipe: HeadRecipe, store: Store, base: str | Path, job: Job) -> None:
        self.row, self.recipe, self.job, self.store = row, recipe, job, store
        check_labels(store, row["classes"])
        self.policy = models.policy(job.threads, recipe["precision"], job.needs_cuda)
        model, self.base_about = models.load(base)
        self.base_sha256 = sha256_of(base)
        for blocks in recipe["blocks"]:
            width(model.network, blocks, average=True)
        model = self.policy.place(model.requires_grad_(False)).eval()
        self.source = Source(store, model, self.base_about, recipe, row["seed"], self.policy, job)
        scale = recipe["batch_size"] / _BASE_BATCH if recipe["scaling"] == "linear" else 1.0
        shape = (model.network.embed_dim, row["classes"], derive(row["seed"], "init"))
        rates = [scale * lr for lr in recipe["lr"]]
        self.heads = Heads(recipe["blocks"], recipe["average"], rates, *shape).to(self.policy.device)
        self.optimizer = torch.optim.SGD(self.heads.parameters(), lr=1.0, momentum=recipe["momentum"])
        self.step, self.sums = 0, torch.zeros(len(self.heads.settings))
        parts = [row, recipe, store.digest, self.base_sha256, torch.__version__, self.policy.device.type]
        self.fingerprint = fingerprint(parts)

    def say(self, text: str) -> None:
        """One line in the log."""
        self.job.say(text)

    @property
    def at(self) -> str:
        """How far it is, in words."""
        return f"step {self.step}"

    @property
    def opening(self) -> list[str]:
        """Lines of the log at its beginning."""
        return [self.policy.sentence(len(self.source.kept), self.recipe["batch_size"])]

    def finish(self, checkpoint: Checkpoint) -> None:
        """The remaining steps; none for nearest neighbours."""
        if self.recipe["method"] == "knn":
            return
        left = self.recipe["steps"] - self.step
        text = f"{self.row['model']}, {len(self.heads.settings)} heads"
        for features, labels in self.job.progress(self.source.updates(self.step), text, left):
            self._update(*features, labels)
            checkpoint.keep(self.state)

    def _update(self, tokens: Tensor, mean: Tensor, labels: Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = (1 + math.cos(math.pi * self.step / self.recipe["steps"])) / 2
        losses = self.heads.losses(tokens, mean, labels)
        if not torch.isfinite(losses).all():
            rate = self.heads.settings[int((~torch.isfinite(losses)).nonzero()[0])].lr
            raise ValueError(
                f"head of {self.row['model']}: the loss at learning rate {rate:g} is not finite at step {self.step}: "
                f"take it out of `lr` of recipe '{self.row['recipe']}'"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.heads.loss(losses).backward()
        self.optimizer.step()
        self.step += 1
        self.sums += losses.detach().cpu()
        if self.step % 500 == 0:
            self.job.say(f"step {self.step}: loss of the best of {len(losses)} heads {losses.min():.4f}")

    # Its end, and its state

    def write(self, files: TrainingFiles, checkpoint: Checkpoint) -> None:
        """Write the outputs of a finished training."""
        if self.recipe["method"] == "knn":
            state, setting, rows = self._neighbours()
        else:
            rows = self._rows()
            best = max(range(len(rows)), key=lambda k: (rows[k]["accuracy"] or 0, -k))
            rows[best]["chosen"] = True
            weight, bias = self.heads.head(best)
            state, setting = {"head.weight": weight, "head.bias": bias}, self.heads.settings[best]
        tables.write(files.table, tables.HEADS, rows, self.job.provenance)
        about = described(self.row, self.recipe, self.base_about, self.base_sha256, self.job)
        about |= {"blocks": setting.blocks, "average": setting.average, "training": self.fingerprint}
        about |= {"class_names": self.store.class_names} if self.store.class_names else {}
        for key in ("mean", "std"):
            state[key] = torch.tensor(self.base_about[key], dtype=torch.float32).view(1, 3, 1, 1)
        models.save(files.weights, state, about)

    def _rows(self) -> list[dict[str, Any]]:
        """A row per head, with its accuracy on held-out training images if there are any."""
        right = [None] * len(self.heads.settings)
        if n := len(self.source.held):
            labels = self.source.labels(self.source.held)
            with torch.no_grad():
                found = self.heads(*self.source.extract(self.source.held)).argmax(2)
            right = (found == labels).double().mean(1).tolist()
        elif len(right) > 1:
            self.job.say("no images are held out: of several heads the first is kept; set `holdout` to choose the best")
        return [
            self._row(setting, loss / max(self.step, 1), accuracy, n)
            for setting, loss, accuracy in zip(self.heads.settings, self.sums.tolist(), right, strict=True)
        ]

    def _row(self, setting: Setting, loss: float | None, accuracy: float | None, n: int) -> dict[str, Any]:
        entry = {"model": self.row["model"], "head": setting.name, "blocks": setting.blocks}
        entry |= {"average": setting.average, "lr": setting.lr, "updates": self.step, "train_loss": loss}
        return entry | {"accuracy": accuracy, "n": n, "chosen": False}

    def _neighbours(self) -> tuple[dict[str, Tensor], Setting, list[dict[str, Any]]]:
        """State of nearest neighbours, what they see, and their row."""
        setting = Setting(self.recipe["blocks"][0], self.recipe["average"][0], 0.0)
        features = self.source.extract(self.source.kept)
        known = F.normalize(joined(*features, setting.blocks, average=setting.average)).cpu()
        state = {"known": known, "labels": self.source.labels(self.source.kept).cpu()}
        row = self._row(setting, None, None, 0) | {"head": "knn", "lr": None, "chosen": True}
        return state, setting, [row]

    def is_done(self, weights: str | Path) -> bool:
        """Whether a file has the head of exactly this training: recipe, data, base, seed."""
        return Path(weights).exists() and read(weights)[1].get("training") == self.fingerprint

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        found = {"step": self.step, "sums": self.sums, "heads": self.heads.state_dict()}
        return found | {"optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.sums = state["step"], state["sums"]
