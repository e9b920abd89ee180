"""
Massive activations: the largest activation of each block of a vision transformer, on clean and on attacked images.

Pulfer, Belousov & Voloshynovskiy 2024 (arXiv:2503.10191), after Sun et al. 2024 (arXiv:2402.17762).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mettle.digests import sha256_of
from mettle.evaluation import Batch, Evaluation
from mettle.models.activations import along, largest, names
from mettle.stages.drift.attacked import attacked, features_of, in_parts
from mettle.typed import FeatureAttack

Row = dict[str, Any]


class Measured:
    """Activations of a model on held-out images, clean and attacked.

    Parameters
    ----------
    evaluation : the model and the images
    through : weights of the model that the attack goes through
    keys : dataset, split, model, attack, through
    options : of the attack, with defaults filled in
    sample : images, the same for every model; None for all
    """

    def __init__(
        self, evaluation: Evaluation, through: str | Path, keys: Row, options: FeatureAttack, sample: int | None
    ) -> None:
        self.opened, self.keys, self.options = evaluation.open(scored=False), keys, options
        self.layers = names(self.opened.model.network)
        self.through, self.made_from = features_of(evaluation, self.opened, through), [options, sha256_of(through)]
        self.chosen = self.opened.split(self.opened.sample(sample))

    def largest(self, resume: str | Path) -> Iterator[Row]:
        """Columns of the table of activations, a layer and a condition at a time.

        Parameters
        ----------
        resume : folder for the answers to finished batches; a killed job resumes from them with the same result
        """
        found = in_parts(self.opened, self.chosen, self.made_from, resume, self._batch)
        for name in ("clean", "attacked"):
            for layer, values in zip(self.layers, found[name].T, strict=True):
                yield self._told(name, layer, found["id"]) | {"largest": values}

    def surface(self) -> Iterator[Row]:
        """Columns of the table of all activations of the first image, a layer and a condition at a time."""
        (batch,) = self.opened.batches([self.chosen[0][:1]])
        for name, images in self._both(batch).items():
            for layer, values in self._along(images, lambda tokens: tokens[0].abs()).items():
                n = len(values)
                told = self._told(name, layer, batch.ids * n) | {"token": np.arange(n)}
                yield told | {"activations": values.cpu().numpy()}

    def _batch(self, batch: Batch) -> dict[str, np.ndarray]:
        """Ids, and the largest activations (n, layers) under each condition."""
        found = {
            name: torch.stack([*self._along(images, largest).values()], dim=1).cpu().numpy()
            for name, images in self._both(batch).items()
        }
        return {"id": np.array(batch.ids)} | found

    def _both(self, batch: Batch) -> dict[str, Tensor]:
        images, _ = attacked(self.opened, batch, self.through, self.options)
        return {"clean": batch.images, "attacked": images}

    @torch.no_grad()
    def _along(self, images: Tensor, keep: Any) -> dict[str, Tensor]:
        return along(self.opened.model, images, keep)

    def _told(self, condition: str, layer: str, ids: Any) -> Row:
        """Key columns of the rows of a layer and a condition."""
        keys = self.keys | {"norm": self.options["norm"], "eps": float(self.options["eps"])}
        if condition == "clean":
            keys |= {"attack": "clean", "through": None, "norm": None, "eps": 0.0}
        return {key: [value] * len(ids) for key, value in (keys | {"layer": layer}).items()} | {"id": ids}
