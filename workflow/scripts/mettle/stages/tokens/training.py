"""A running training of robustness tokens: tokens, optimiser, progress, and the state that the rest depends on."""

import itertools
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mettle import models, tables
from mettle.data.loading import batches, evaluation_images, shuffled
from mettle.data.store import Store
from mettle.digests import fingerprint, sha256_of
from mettle.distributed import ProcessGroup, TrainingFiles
from mettle.flow import Job
from mettle.models import tokens
from mettle.models.checkpoint import Checkpoint
from mettle.models.features import Features
from mettle.models.weights import TOKENS, read
from mettle.perturb.features import LIKENESS
from mettle.seeds import derive
from mettle.stages.tokens.attacks import attacked, order
from mettle.stages.tokens.record import described
from mettle.stages.tokens.shared import Shared
from mettle.typed import ModelRow, TokensOptimizer, TokensRecipe


class Training:
    """Tokens, optimiser and progress of a training; parameters as those of `harden`."""

    def __init__(
        self,
        row: ModelRow,
        recipe: TokensRecipe,
        store: Store,
        base: str | Path,
        job: Job,
        group: ProcessGroup | None = None,
        shared: str | Path | None = None,
    ) -> None:
        self.row, self.recipe, self.job, self.seed, self.group = row, recipe, job, row["seed"], group or ProcessGroup()
        self.policy, self.workers = self.group.policy(job, recipe["precision"])
        model, self.base_about = models.load(base)
        self.base_sha256 = sha256_of(base)
        self.images = evaluation_images(store, self.base_about)
        self.group.part(min(shuffled(len(self.images), recipe["batch_size"], self.seed, 0), key=len))
        model.requires_grad_(False)
        self.tokens = tokens.attach(model.network, self._initial(model.network), recipe["position"])
        self.model = self.policy.place(Features(model)).eval()
        self.optimizer = _optimizer([self.tokens], recipe["optimizer"])
        self.shared = Shared(shared) if shared else None
        self.step = 0
        self.rows: list[dict[str, Any]] = []
        parts = [row, recipe, store.digest, self.base_sha256, torch.__version__, self.policy.device.type]
        self.fingerprint = fingerprint(parts)

    def _initial(self, network: torch.nn.Module) -> Tensor:
        generator = torch.Generator().manual_seed(derive(self.seed, "init"))
        shape = (1, self.recipe["n"], tokens.width_of(network))
        return self.recipe["init_std"] * torch.randn(shape, generator=generator)

    def say(self, text: str) -> None:
        """One line in the log, from the first process."""
        if self.group.first:
            self.job.say(text)

    @property
    def at(self) -> str:
        """How far it is, in words."""
        return f"step {self.step}"

    @property
    def opening(self) -> list[str]:
        """Lines of the log at its beginning."""
        return [self.policy.sentence(len(self.images), self.recipe["batch_size"])]

    # Steps

    def finish(self, checkpoint: Checkpoint) -> None:
        """The remaining steps."""
        every = order(len(self.images), self.recipe["batch_size"], self.seed)
        left = list(itertools.islice(every, self.step, self.recipe["steps"]))
        found = batches(self.images, list(map(self.group.part, left)), self.workers)
        text = f"{self.row['model']}, {self.recipe['n']} tokens"
        shown = self.job.progress(found, text, len(left)) if self.group.first else found
        for (images, _, ids), all_of_it in zip(shown, left, strict=True):
            self._update(self.policy.move(images), ids, len(all_of_it))
            self.group.keep(checkpoint, self.state)

    def _update(self, images: Tensor, ids: Tensor, n: int) -> None:
        """One update on a batch of n images, of which this process has these."""
        recipe, likeness = self.recipe, LIKENESS[self.recipe["attack"]["similarity"]]
        with tokens.without(self.model.model.network), torch.no_grad(), self.policy.autocast():
            clean = self.model(images).float()
        moved, plain, error = self._attacked(images, clean, ids, n)
        rate = self._set_rate()
        self.optimizer.zero_grad(set_to_none=True)
        part, alike = len(images) / n, []
        for seen, weight in ((images, recipe["invariance"]), (moved, 1)):  # one graph in memory at a time
            with self.policy.autocast():
                similarity = likeness(self.model(seen).float(), clean).mean()
            if self.tokens.numel():
                (-weight * part * similarity).backward()
            alike.append(similarity.item())
        invariance, adversarial = alike
        (total,) = self.group.sums(-part * (recipe["invariance"] * invariance + adversarial))
        if not math.isfinite(total):
            raise ValueError(
                f"tokens of {self.row['model']}: the loss is {total} at step {self.step}: lower optimizer.lr "
                f"({recipe['optimizer']['lr']}) of recipe '{self.row['recipe']}'"
            )
        if self.tokens.numel():
            self.group.add_gradients([self.tokens])
            self.optimizer.step()
        means = self.group.sums(*(part * value for value in (invariance, adversarial, plain, error)))
        self._add_row(rate, n, *means)

    def _attacked(self, images: Tensor, clean: Tensor, ids: Tensor, n: int) -> tuple[Tensor, float, float]:
        """Attacked images, the mean similarity of their features without tokens to clean ones, and their mean error."""
        if self.shared:
            found, rows = self.shared.at(self.step, self.group.part(np.arange(n)), ids)
            return self.policy.move(found), float(rows["plain"].mean()), float(rows["image_mse"].mean())
        options, network = self.recipe["attack"], self.model.model.network
        with nullcontext() if options["through"] == "self" else tokens.without(network):
            found = attacked(self.model, images, clean, ids, options, (self.seed, self.step), self.policy)
        with tokens.without(network), torch.no_grad(), self.policy.autocast():
            plain = LIKENESS[options["similarity"]](self.model(found).float(), clean).mean()
        return found, plain.item(), (found - images).square().mean().item()

    def _set_rate(self) -> float:
        rate = rate_at(self.step, self.recipe["steps"], self.recipe["optimizer"])
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _add_row(self, rate: float, n: int, *means: float) -> None:
        found = dict(zip(("invariance", "adversarial", "plain", "image_mse"), means, strict=True))
        self.rows.append({"model": self.row["model"], "step": self.step, "lr": rate} | found | {"n": n})
        self.step += 1
        if self.step % 50 == 0:
            self.say(sentence(self.rows[-50:]))

    # Its end, and its state

    def write(self, files: TrainingFiles, checkpoint: Checkpoint) -> None:
        """Write the outputs of a finished training, in the first process."""
        if not self.group.first:
            return
        tables.write(files.table, tables.TOKENS_STEPS, self.rows, self.job.provenance)
        width = self.tokens.shape[-1]
        about = described(self.row, self.recipe, self.base_about, self.base_sha256, width, self.job)
        models.save(files.weights, {TOKENS: self.tokens}, about | {"training": self.fingerprint})

    def is_done(self, weights: str | Path) -> bool:
        """Whether a file has the tokens of exactly this training: recipe, data, base, seed."""
        return Path(weights).exists() and read(weights)[1].get("training") == self.fingerprint

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        found = {"step": self.step, "rows": self.rows, "tokens": self.tokens.detach()}
        return found | {"optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        with torch.no_grad():
            self.tokens.copy_(state["tokens"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.rows = state["step"], state["rows"]


def _optimizer(parameters: list[Tensor], options: TokensOptimizer) -> torch.optim.Optimizer:
    kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    return kinds[options["name"]](parameters, lr=options["lr"])


def rate_at(step: int, steps: int, options: TokensOptimizer) -> float:
    """Learning rate of an update.

    Parameters
    ----------
    step : number of the update, from 0
    steps : number of updates
    options : lr, decay, warmup_steps
    """
    warm = options["warmup_steps"]
    if step < warm:
        return options["lr"] * (step + 1) / warm
    if options["decay"] == "none":
        return options["lr"]
    return options["lr"] * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2


def sentence(rows: list[dict[str, Any]]) -> str:
    """Means over some steps in words."""
    mean = {key: sum(row[key] for row in rows) / len(rows) for key in ("invariance", "adversarial", "plain")}
    return (
        f"step {rows[-1]['step'] + 1}: similarity to clean features without tokens {mean['invariance']:.3f} on clean "
        f"images, {mean['adversarial']:.3f} on attacked ones ({mean['plain']:.3f} without tokens)"
    )
