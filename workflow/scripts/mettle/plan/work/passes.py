"""Passes of images through networks: what they compute, decode and hold in memory."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mettle.plan import costs
from mettle.plan.loads import BACK, Images, Load, count, mb
from mettle.typed import FeatureAttack
from mettle.units import sides

if TYPE_CHECKING:
    from mettle.plan.plan import Plan

Row = dict[str, Any]

# Images of a split that is not packed yet: as many as ImageNet; a fifth where all have one size, which is small.
HELD_OUT, TRAINING = 50_000, 1_281_167
DENSE = 118_287  # training images of COCO
SMALL = 5
LAYERS = 25  # of a network, each as wide as its last
CORRUPT = 5e-8  # seconds for a pixel, mean over the benchmark's corruptions


def felt(options: FeatureAttack) -> float:
    """Forward passes that an attack on features is worth per image."""
    return options["restarts"] * (BACK * options["steps"] + 1) + 2


class Passes:
    """What a job's passes through networks cost.

    Parameters
    ----------
    plan : configuration, sheets and recipes
    """

    def __init__(self, plan: "Plan") -> None:
        self.plan, self.config = plan, plan.config

    def _network(self, model: str) -> costs.Network:
        area = math.prod(sides(self._input(model)["size"]))
        return costs.network(self.plan.models[model]["arch"], round(math.sqrt(area)))

    def _input(self, model: str) -> Row:
        return self.plan.preprocessing({"model": model})["input"]

    def _images(self, model: str, dataset: str, stores: Sequence[str], otherwise: int) -> Images:
        """Images of a split for a model: those that are packed, or `otherwise` if none are yet.

        Images of different sizes are never kept in memory: those of dense tasks enter the network at their own size.
        """
        size = self.plan.datasets[dataset]["size"]
        n = count(stores, otherwise // SMALL if size else otherwise)
        return Images(n, size, self._network(model), bool(size) and self._input(model)["resize"] is None)

    def _made(self, model: str, n: int) -> Images:
        """Images that jobs have made, of the size that a model takes."""
        net = self._network(model)
        return Images(n, net.size, net, self._input(model)["resize"] is None)

    def _pass(self, images: Images, n: float, each: float, batch: float, kind: str = "forward") -> Load:
        """A number of images, each worth a number of forward passes."""
        net, taken = images.net, min(n, batch)
        return Load(
            gflop=n * each * net.gflop,
            decoded=n * images.photographs,
            mb=images.mb + 12 * net.parameters,
            passing=taken * getattr(net, kind),
            batch=0 if images.kept else mb(taken, net.size**2 * 3),
        )
