"""What every evaluation opens with: a model on its device, the images as it takes them, and the device policy."""

from pathlib import Path

from mettle.data.loading import ImageSet, taken_by
from mettle.data.store import Store
from mettle.models.classifier import Classifier
from mettle.models.device import Policy, policy
from mettle.models.weights import load


def opened(
    weights: str | Path, store: Store, threads: int, precision: str, *, whole: bool = False
) -> tuple[Classifier, ImageSet, Policy]:
    """A model in evaluation mode on its device, a store's images as it takes them, and the policy of this process.

    Parameters
    ----------
    weights : file that `save` wrote
    store : the images
    threads, precision : see `policy`
    whole : see `taken_by`
    """
    model, about = load(weights)
    chosen = policy(threads, precision)
    return chosen.place(model), taken_by(store, about, whole=whole), chosen
