"""PRIME in training: a batch becomes its augmented images, or views of them for a loss that compares several."""

import torch
from torch import Tensor

from mettle.augment import prime
from mettle.models import Policy
from mettle.perturb import Draws
from mettle.seeds import derive
from mettle.typed import Augment


def primed(images: Tensor, ids: Tensor, augment: Augment, views: int, seed: tuple[int, int], policy: Policy) -> Tensor:
    """Images as the loss takes them.

    Parameters
    ----------
    images : (n, 3, h, w) in [0, 1], or (n, views, 3, h, w) where `auto_augment` has made the views
    ids : one per image
    augment : the recipe's block; without `prime` the images stay as they are
    views : of each image that the loss takes: the first one is the image as given, unless it is the only one
    seed : of the model, and epoch: an image changes in the same way for any batch and number of processes
    policy : device and layout

    Returns
    -------
    Tensor
        (n, 3, h, w) if there is one view, else (n, views, 3, h, w).
    """
    if "prime" not in augment:
        return images
    made = [
        prime(images, Draws(derive(seed[0], "prime", seed[1], view), ids, policy.device), augment["prime"])
        for view in range(max(1, views - 1))
    ]
    return policy.move(made[0] if views == 1 else torch.stack([images, *made], 1))
