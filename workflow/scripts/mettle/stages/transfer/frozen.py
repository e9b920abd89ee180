"""Maps of a frozen network, extracted once, as the training images of a head."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from mettle.data.dense import DenseSet
from mettle.data.loading import batches, split
from mettle.models import Policy
from mettle.perturb.watch import Watch


class MapSet(Dataset):
    """Maps of all images of a set that change in no pass, in memory, with the targets of the images.

    Parameters
    ----------
    images : the images, without random changes
    model : with `maps`
    policy : device and precision
    batch : images per pass
    watch : counts the batches
    """

    ready = True

    def __init__(self, images: DenseSet, model: nn.Module, policy: Policy, batch: int, watch: Watch) -> None:
        self.images, self.epoch = images, 0
        chosen = split(np.arange(len(images)), batch)
        parts = []
        with torch.no_grad(), policy.autocast():
            for found, *_ in watch.progress(batches(images, chosen), "features", len(chosen)):
                parts.append([maps.float().cpu() for maps in model.maps(policy.move(found))])
        self.maps = [torch.cat(part) for part in zip(*parts, strict=True)]

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, indices: Sequence[int]) -> tuple[list[Tensor], Any, Tensor]:
        """Maps (n, d, h, w) of each block, targets and ids (n,) at these positions."""
        _, targets, ids = self.images.__getitems__(indices)
        return [maps[indices] for maps in self.maps], targets, ids
