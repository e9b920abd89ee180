"""Learning rates by update that timm does not have, with the interface of its schedulers."""

import math

from timm.scheduler.scheduler import Scheduler
from torch.optim import Optimizer

# As in torch's OneCycleLR: the first rate is the peak over the one, the last is the first over the other.
_START, _END = 25.0, 1e4


class OneCycle(Scheduler):
    """One rise and one fall, each half a cosine, Smith & Topin 2018 (arXiv:1708.07120), as torch's OneCycleLR.

    Parameters
    ----------
    optimizer : whose learning rates are the peak
    total : updates
    rise : part of them in which the rate rises
    """

    def __init__(self, optimizer: Optimizer, total: int, rise: float) -> None:
        super().__init__(optimizer, "lr", t_in_epochs=False)
        self.top, self.end = rise * total - 1, total - 1
        self.step_update(0)

    def _get_lr(self, t: int) -> list[float]:
        if t <= self.top:
            first, last, done = 1 / _START, 1.0, t / self.top if self.top else 1.0
        else:
            first, last, done = 1.0, 1 / _START / _END, min(1.0, (t - self.top) / (self.end - self.top))
        factor = last + (first - last) * (1 + math.cos(math.pi * done)) / 2
        return [peak * factor for peak in self.base_values]


class Warmed:
    """Another schedule, multiplied by a factor that rises linearly over the first updates, as in mmcv.

    Parameters
    ----------
    schedule : by update
    updates : after which the factor is 1
    ratio : factor at the first update
    """

    def __init__(self, schedule: Scheduler, updates: int, ratio: float) -> None:
        self.schedule, self.updates, self.ratio = schedule, updates, ratio
        self.step_update(0)

    def step(self, epoch: int) -> None:
        """Nothing: the rate changes by update."""

    def step_update(self, update: int) -> None:
        """Set the rates of an update, from 0."""
        self.schedule.step_update(update)
        if update < self.updates:
            factor = 1 - (1 - update / self.updates) * (1 - self.ratio)
            for group in self.schedule.optimizer.param_groups:
                group["lr"] *= factor
