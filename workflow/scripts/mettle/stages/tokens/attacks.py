"""The batches of a training of robustness tokens, and their attacked images."""

import itertools
from collections.abc import Iterator

import numpy as np
from torch import Tensor, nn

from mettle.data.loading import shuffled
from mettle.models import Policy
from mettle.perturb import Draws
from mettle.perturb.features import attack
from mettle.seeds import derive
from mettle.typed import FeatureAttack


def order(n: int, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Positions of the images of each update, without end: all n images once, in an order of its own, then again."""
    for epoch in itertools.count():
        yield from shuffled(n, batch_size, seed, epoch)


def attacked(
    model: nn.Module,
    images: Tensor,
    clean: Tensor,
    ids: Tensor,
    options: FeatureAttack,
    at: tuple[int, int],
    policy: Policy,
) -> Tensor:
    """Attacked images (n, 3, h, w) of an update; the random start of each depends on its id and `at` alone.

    Parameters
    ----------
    model : features that the attack changes
    images : (n, 3, h, w) clean images
    clean : their features by the network without tokens
    ids : of the images
    options : of the attack, with defaults filled in
    at : seed of the training, and number of the update
    policy : device and precision
    """
    seed, step = at
    draws = Draws(derive(seed, "attack", step), ids, images.device)
    return attack(model, images, clean, options, draws, policy)[0]
