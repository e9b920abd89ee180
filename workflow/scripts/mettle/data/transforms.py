"""From a PIL image to a float tensor (3, size, size) in [0, 1]: evaluation and training transforms, by torchvision."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

# Principal components of ImageNet's colours (RGB in [0, 1]), Krizhevsky et al. 2012, as in MadryLab's recipes.
_EIGENVALUES = torch.tensor([0.2175, 0.0188, 0.0045])
_EIGENVECTORS = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


def evaluation(size: int, resize: int) -> v2.Compose:
    """Shorter side to `resize`, then the centre."""
    return v2.Compose([v2.Resize(resize), v2.CenterCrop(size), *_tensor()])


def training(augment: dict[str, Any], size: int, resize: int | None) -> v2.Compose:
    """Random changes of a recipe's `augment` block, in the order crop, flip, colour, rotation, lighting."""
    steps: list[Any] = []
    if augment["random_resized_crop"]:
        steps.append(v2.RandomResizedCrop(size))
    elif resize is not None:
        steps += [v2.Resize(resize), v2.CenterCrop(size)]
    if augment["crop_padding"]:
        steps.append(v2.RandomCrop(size, padding=augment["crop_padding"]))
    if augment["horizontal_flip"]:
        steps.append(v2.RandomHorizontalFlip())
    if jitter := augment["color_jitter"]:
        steps.append(v2.ColorJitter(jitter, jitter, jitter))
    if augment["rotation"]:
        steps.append(v2.RandomRotation(augment["rotation"]))
    steps += _tensor()
    if augment["lighting"]:
        steps.append(partial(light, std=augment["lighting"]))
    return v2.Compose(steps)


def light(image: Tensor, std: float) -> Tensor:
    """PCA lighting noise, Krizhevsky et al. 2012, section 4.1: one random colour shift for the whole image."""
    shift = _EIGENVECTORS @ (torch.randn(3) * std * _EIGENVALUES)
    return (image + shift.view(3, 1, 1)).clamp(0, 1)


def _tensor() -> list[Any]:
    return [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
