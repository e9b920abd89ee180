"""The record of a training: sums of the current epoch, a row per epoch, and the best weights."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from mettle.stages.train.schedules import eps_at
from mettle.typed import Recipe
from mettle.units import eps_text

# Sums over an epoch: loss, correct predictions, correct clean ones, clean predictions, images, and time.
_SUMS = ("loss", "hits", "clean_hits", "clean", "n", "seconds")


class Record:
    """Rows of the table of epochs, and the best weights so far if the recipe asks for them.

    Parameters
    ----------
    model : name of the model
    recipe : the recipe
    """

    def __init__(self, model: str, recipe: Recipe) -> None:
        self.model, self.recipe = model, recipe
        self.sums = dict.fromkeys(_SUMS, 0.0)
        self.rows: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {}

    def add(self, **sums: float) -> None:
        """Add to the sums of the epoch."""
        for key, value in sums.items():
            self.sums[key] += value

    def close(self, epoch: int, updates: int, lr: float, tested: dict[str, Any]) -> dict[str, Any]:
        """The row of a finished epoch; resets the sums.

        Parameters
        ----------
        epoch : the epoch
        updates : optimiser steps in an epoch
        lr : learning rate
        tested : columns that were measured on held-out images
        """
        sums, n, attack = self.sums, int(self.sums["n"]), self.recipe.get("attack")
        entry = {
            "model": self.model,
            "epoch": epoch,
            "lr": lr,
            "eps": eps_at(attack, epoch + (updates - 1) / updates) if attack else None,
            "batch": self.recipe["batch_size"],
            "train_loss": sums["loss"] / n,
            "train_accuracy": sums["hits"] / n,
            "train_clean_accuracy": sums["clean_hits"] / sums["clean"] if sums["clean"] else None,
            **tested,
            "images_per_second": n / max(sums["seconds"], 1e-9),
            "n": n,
        }
        self.rows.append(entry)
        self.sums = dict.fromkeys(_SUMS, 0.0)
        return entry

    def consider(self, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Keep the weights of the last row's epoch if they are the best so far and the recipe asks for the best."""
        entry = self.rows[-1]
        value = entry["robust_accuracy" if "attack" in self.recipe else "test_accuracy"]
        if self.recipe["validation"]["select"] == "last" or value is None:
            return
        if not self.best or value > self.best["value"]:
            self.best = {"value": value, "epoch": entry["epoch"], "weights": weights()}

    @property
    def selected(self) -> int:
        """Epoch whose weights are kept."""
        return self.best.get("epoch", self.rows[-1]["epoch"])

    def table(self) -> list[dict[str, Any]]:
        """All rows, with the one marked whose weights are kept."""
        return [entry | {"selected": entry["epoch"] == self.selected} for entry in self.rows]

    def state(self) -> dict[str, Any]:
        """The record as plain data and tensors."""
        return {"sums": self.sums, "rows": self.rows, "best": self.best}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.sums, self.rows, self.best = (state[key] for key in ("sums", "rows", "best"))


def scalars(entry: dict[str, Any]) -> dict[str, float]:
    """Numbers of a row, for a logger; the radius also in steps of 8-bit images."""
    found = {key: value for key, value in entry.items() if isinstance(value, int | float) and key != "epoch"}
    return found | ({"eps_255": entry["eps"] * 255} if entry["eps"] is not None else {})


def sentence(entry: dict[str, Any]) -> str:
    """A row in words."""
    text = f"epoch {entry['epoch'] + 1}: loss {entry['train_loss']:.4f}, accuracy {entry['train_accuracy']:.4f}"
    text += f", test {entry['test_accuracy']:.4f}, learning rate {entry['lr']:.3g}, batch {entry['batch']}"
    if entry["eps"] is not None:
        text += f", eps {_radius(entry['eps'])}"
    if entry["robust_accuracy"] is not None:
        text += f", robust {entry['robust_accuracy']:.4f} by {entry['robust_steps']} steps"
    text += f", {entry['images_per_second']:.0f} images/s"
    return text + (f"; {entry['alarm']}" if entry["alarm"] else "")


def _radius(eps: float) -> str:
    """A radius in words; one that still grows to a hundredth of a step of 8-bit images."""
    text = eps_text(eps)
    return text if len(text) < 9 else eps_text(round(eps * 255, 2) / 255)
