"""What every evaluation opens with: a model on its device, the images as it takes them, and the device policy."""

from pathlib import Path

from mettle.data.classes import differ
from mettle.data.loading import ImageSet, taken_by
from mettle.data.store import Store
from mettle.flow import Job
from mettle.models.classifier import Classifier
from mettle.models.device import Policy, policy
from mettle.models.weights import load


def opened(
    weights: str | Path, store: Store, job: Job, precision: str, *, whole: bool = False, scored: bool = True
) -> tuple[Classifier, ImageSet, Policy]:
    """A model in evaluation mode on its device, a store's images as it takes them, and the policy of this process.

    Parameters
    ----------
    weights : file that `save` wrote
    store : the images
    job : threads, and whether the CPU will do
    precision : number format of the passes
    whole : see `taken_by`
    scored : the store's labels are compared with the model's answers

    Raises
    ------
    ValueError
        If a label is the name of another class than the one that the model was trained to answer with; and what
        `load` and `ImageSet` raise.
    """
    model, about = load(weights)
    if scored and (difference := differ(about.get("class_names", ()), store.class_names)):
        raise ValueError(
            f"{weights}: {difference} in {store.path}: the model was trained on classes that are numbered differently"
        )
    chosen = policy(job.threads, precision, job.needs_cuda).suited(model)
    return chosen.place(model), taken_by(store, about, whole=whole), chosen
