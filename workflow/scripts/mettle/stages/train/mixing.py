"""MixUp (Zhang et al. 2018, arXiv:1710.09412) and CutMix (Yun et al. 2019, arXiv:1905.04899) of a batch."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from mettle.typed import Augment


def mix(images: Tensor, labels: Tensor, classes: int, augment: Augment, seed: int) -> tuple[Tensor, Tensor]:
    """A batch mixed with itself in reverse order, all images in the same way.

    Parameters
    ----------
    images : (n, 3, h, w), or views of them (n, views, 3, h, w); image i is mixed with image n - 1 - i
    labels : (n,) classes
    classes : number of classes
    augment : the recipe's block, of which `mixup`, `cutmix` and `mix_probability` are used here
    seed : decides how to mix, the same for all parts of a batch

    Returns
    -------
    images : of the shape given
    targets : (n, classes) distributions, or the labels if nothing was mixed
    """
    rng = np.random.default_rng(seed)
    if not (augment["mixup"] or augment["cutmix"]) or rng.random() >= augment["mix_probability"]:
        return images, labels
    both = augment["mixup"] and augment["cutmix"]
    cut = rng.random() < 0.5 if both else augment["cutmix"] > 0
    share = rng.beta(*[augment["cutmix" if cut else "mixup"]] * 2)  # fraction of itself that an image keeps
    if cut:
        rows, columns, share = _box(*images.shape[-2:], share, rng)
        images = images.clone()
        images[..., rows, columns] = images.flip(0)[..., rows, columns]
    else:
        images = share * images + (1 - share) * images.flip(0)
    targets = F.one_hot(labels, classes).float()
    return images, share * targets + (1 - share) * targets.flip(0)


def _box(height: int, width: int, share: float, rng: np.random.Generator) -> tuple[slice, slice, float]:
    """A box of area 1 - share around a random point, clipped at the border, and the fraction outside of it."""
    sides = []
    for size in (height, width):
        half, centre = int(size * (1 - share) ** 0.5) / 2, rng.integers(size)
        sides.append(slice(max(0, int(centre - half)), min(size, int(centre + half))))
    rows, columns = sides
    return rows, columns, 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
