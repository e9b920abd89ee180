"""
Transfer: which weights of a model that starts from another one's train, and in which mode its modules are.

The backbone of a classifier is everything but its heads, the modules that `Classifier.classifiers` lists. Models of
dense tasks have a module of this name, which sees to its mode by itself.
"""

from collections.abc import Iterator

from torch import nn

from mettle.models.classifier import Classifier
from mettle.schema import check_registry

# Values of a row's `transfer`, and what they mean, for the log.
MODES = {
    "full": "every weight trains; BatchNorm takes the statistics of batches",
    "fixed": "the head alone trains; the backbone is in evaluation mode: statistics of BatchNorm stay, no drop path",
    "fixed_paper": "the backbone has learning rate 0; its BatchNorm statistics move, and drop path is on",
    "full_prime": "every weight trains, on images by PRIME; BatchNorm takes the statistics of batches",
}
check_registry("models.transfer", MODES)
FIXED = ("fixed", "fixed_paper")  # those under which the head alone is to train

# Under `fixed_paper` these go on training, as they did in the study: there a rule of the optimiser for them (no decay)
# took the place of the rule of the backbone (a learning rate of 0).
_LEAKING = ("relative_position_bias_table", "absolute_pos_embed")


def freeze(model: Classifier, transfer: str) -> None:
    """Take the backbone out of training under `fixed`; under the others every weight gets gradients.

    Parameters
    ----------
    model : the classifier, changed in place
    transfer : a row's `transfer`
    """
    if transfer == "fixed":
        for parameter in backbone(model):
            parameter.requires_grad_(False)


def training(model: Classifier, transfer: str) -> None:
    """Put a model into training mode; under `fixed` its heads only.

    In evaluation mode, BatchNorm uses and keeps the statistics of the base, and there is no drop path or dropout. Under
    `fixed_paper` the statistics move, and drop path goes on.

    Parameters
    ----------
    model : the classifier, changed in place
    transfer : a row's `transfer`
    """
    model.train()
    if transfer == "fixed":
        model.network.eval()
        for head in model.classifiers:
            head.train()


def without_rate(model: nn.Module, transfer: str) -> set[int]:
    """Identities of the parameters with gradients but a learning rate of 0: of the backbone, under `fixed_paper`."""
    if transfer != "fixed_paper":
        return set()
    leaking = {id(value) for name, value in model.named_parameters() if name.endswith(_LEAKING)}
    return {id(parameter) for parameter in backbone(model)} - leaking


def backbone(model: nn.Module) -> Iterator[nn.Parameter]:
    """Parameters outside of the heads."""
    if hasattr(model, "backbone"):
        return model.backbone.parameters()
    heads = {id(parameter) for head in model.classifiers for parameter in head.parameters()}
    return (parameter for parameter in model.parameters() if id(parameter) not in heads)
