"""Training from a recipe: standard and adversarial, repeatable from its seed, resumable at any step."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mettle import models, tables
from mettle.data.loading import ImageSet, batches, shuffled, split
from mettle.data.store import Store
from mettle.flow import Job, derive
from mettle.models import Policy
from mettle.train.checkpoint import Checkpoint
from mettle.train.losses import LOSSES, Step
from mettle.train.optim import make


def train(
    row: dict[str, Any],
    recipe: dict[str, Any],
    train_images: str | Path,
    test_images: str | Path,
    weights: str | Path,
    epochs: str | Path,
    resume: str | Path,
    job: Job,
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
    """
    run = Training(row, recipe, Store(train_images), Store(test_images), job)
    with Checkpoint(resume, run.fingerprint) as checkpoint:
        if state := checkpoint.load():
            run.restore(state)
            job.say(f"goes on from epoch {run.epoch}, step {run.step}")
        while run.epoch < recipe["epochs"]:
            run.one_epoch(checkpoint)
    models.save(weights, run.model, about(row, recipe, job))
    tables.write(epochs, tables.EPOCHS, run.rows, job.provenance)
    checkpoint.remove()


def about(row: dict[str, Any], recipe: dict[str, Any], job: Job) -> dict[str, Any]:
    """Metadata of a model's weights."""
    found = {key: row[key] for key in ("model", "dataset", "arch", "classes", "threat", "eps", "seed", "recipe")}
    found |= {key: recipe["input"][key] for key in ("size", "resize", "mean", "std")}
    return found | {"recipe_sha256": _hash(recipe), "provenance": job.provenance}


class Training:
    """Model, optimiser, and how far training has come."""

    def __init__(self, row: dict[str, Any], recipe: dict[str, Any], train: Store, test: Store, job: Job) -> None:
        self.row, self.recipe, self.job, self.seed = row, recipe, job, row["seed"]
        source = recipe["input"]
        self.policy = models.policy(job.threads, recipe["precision"])
        self.workers = job.threads - 1
        model = models.create(
            row["arch"], row["classes"], source["size"], source["mean"], source["std"], derive(self.seed, "init")
        )
        self.model = self.policy.place(model)
        self.train = ImageSet(train, source["size"], source["resize"], recipe["augment"], self.seed)
        self.test = ImageSet(test, source["size"], source["resize"])
        self.updates = len(shuffled(len(train), recipe["batch_size"], self.seed, 0))
        self.optimizer, self.scheduler = make(self.model, recipe, self.updates)
        self.loss = LOSSES[recipe["loss"]]
        self.epoch = self.step = 0
        self.sums = [0.0, 0.0, 0]  # loss, correct, images of the epoch so far
        self.rows: list[dict[str, Any]] = []
        self.fingerprint = _hash([row, recipe, train.digest, test.digest, torch.__version__, self.policy.device.type])

    def one_epoch(self, checkpoint: Checkpoint) -> None:
        """The rest of the current epoch, and its row."""
        self.train.epoch = self.epoch
        chosen = shuffled(len(self.train), self.recipe["batch_size"], self.seed, self.epoch)[self.step :]
        self.model.train()
        text = f"{self.row['model']} epoch {self.epoch + 1} of {self.recipe['epochs']}"
        for images, labels, _ in self.job.progress(batches(self.train, chosen, self.workers), text, len(chosen)):
            self._update(self.policy.move(images), labels.to(self.policy.device))
            if checkpoint.due():
                checkpoint.save(self.state())
        self._close_epoch()
        if checkpoint.due() or self.epoch < self.recipe["epochs"]:
            checkpoint.save(self.state())

    def _update(self, images: Tensor, labels: Tensor) -> None:
        seed = derive(self.seed, "step", self.epoch, self.step)
        torch.manual_seed(seed)
        step = Step(self.epoch, seed, self.policy, self.recipe)
        loss, clean, attacked = self.loss.run(self.model, images, labels, step)
        if not torch.isfinite(loss):
            raise ValueError(
                f"training loss of {self.row['model']} is {loss.item()} at epoch {self.epoch}, step {self.step}: "
                f"lower optimizer.lr ({self.recipe['optimizer']['lr']}) of recipe '{self.row['recipe']}', or clip_norm"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.recipe["clip_norm"] is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe["clip_norm"])
        self.optimizer.step()
        self.step += 1
        self.scheduler.step_update(self.epoch * self.updates + self.step)
        logits = clean if attacked is None else attacked
        self.sums[0] += loss.item() * len(labels)
        self.sums[1] += (logits.argmax(1) == labels).sum().item()
        self.sums[2] += len(labels)

    def _close_epoch(self) -> None:
        loss, correct, n = self.sums
        test_loss, test_accuracy = evaluate(self.model, self.test, self.policy, self.recipe["batch_size"], self.workers)
        self.rows.append(
            {
                "model": self.row["model"],
                "epoch": self.epoch,
                "lr": float(self.optimizer.param_groups[0]["lr"]),
                "train_loss": loss / n,
                "train_accuracy": correct / n,
                "test_loss": test_loss,
                "test_accuracy": test_accuracy,
                "n": n,
            }
        )
        self.job.say(
            f"epoch {self.epoch + 1}: loss {loss / n:.4f}, accuracy {correct / n:.4f}, test {test_accuracy:.4f}"
        )
        self.epoch, self.step, self.sums = self.epoch + 1, 0, [0.0, 0.0, 0]

    def state(self) -> dict[str, Any]:
        """All that the rest of the training depends on."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "sums": self.sums,
            "rows": self.rows,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step, self.sums, self.rows = (state[key] for key in ("epoch", "step", "sums", "rows"))
        self.scheduler.step_update(self.epoch * self.updates + self.step)


@torch.no_grad()
def evaluate(
    model: nn.Module, images: ImageSet, policy: Policy, batch_size: int, workers: int = 0
) -> tuple[float, float]:
    """Mean cross-entropy in nats and accuracy of a model on clean images, in evaluation mode."""
    loss = correct = 0.0
    with models.frozen(model), policy.autocast():
        for batch, labels, _ in batches(images, split(np.arange(len(images)), batch_size), workers):
            logits = model(policy.move(batch)).float()
            labels = labels.to(policy.device)
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            correct += (logits.argmax(1) == labels).sum().item()
    return loss / len(images), correct / len(images)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
