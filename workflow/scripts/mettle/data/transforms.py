"""From a PIL image to a float tensor (3, h, w) in [0, 1]: evaluation and training transforms, by torchvision."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from mettle.typed import Augment
from mettle.units import sides, size_text

Size = int | Sequence[int]  # side of a square in pixels, or [height, width]

# Principal components of ImageNet's colours (RGB in [0, 1]), Krizhevsky et al. 2012, as in MadryLab's recipes.
_EIGENVALUES = torch.tensor([0.2175, 0.0188, 0.0045])
_EIGENVECTORS = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
_INTERPOLATION = {name: v2.InterpolationMode(name) for name in ("bilinear", "bicubic")}


def evaluation(size: Size, resize: Size, interpolation: str = "bilinear") -> v2.Compose:
    """Shorter side to `resize`, or both sides where it is [height, width]; then the centre.

    An image whose longer side is then shorter than the input's raises ValueError.
    """
    return v2.Compose([*_centre(size, resize, interpolation), *_tensor()])


def tensor() -> v2.Compose:
    """A PIL image as a float tensor (3, h, w) in [0, 1]."""
    return v2.Compose(_tensor())


def training(augment: Augment, size: Size, resize: Size | None, interpolation: str = "bilinear") -> v2.Compose:
    """Random changes of a recipe's `augment` block: crop, flips, colour, rotation, lighting, erasing, in this order.

    Without a random crop, images are first resized to `size` as in evaluation.
    """
    steps: list[Any] = _crop(augment, size)
    if not augment["random_resized_crop"] and resize is not None:
        steps = _centre(size, resize, interpolation) + steps
    if augment["horizontal_flip"]:
        steps.append(v2.RandomHorizontalFlip())
    if augment["vertical_flip"]:
        steps.append(v2.RandomVerticalFlip())
    if augment["auto_augment"]:
        steps.append(automatic(augment["auto_augment"], min(sides(size))))
    elif jitter := augment["color_jitter"]:
        steps.append(v2.ColorJitter(jitter, jitter, jitter))
    if augment["rotation"]:
        steps.append(v2.RandomRotation(augment["rotation"]))
    steps += _tensor()
    if augment["lighting"]:
        steps.append(partial(light, std=augment["lighting"]))
    if augment["erasing"]:
        steps.append(partial(erase, probability=augment["erasing"], mode=augment["erasing_mode"]))
    return v2.Compose(steps)


def automatic(text: str, size: int) -> Any:
    """A policy of random changes by timm, drawn from the global generators of Python and NumPy.

    Parameters
    ----------
    text : for example `rand-m9-mstd0.5-inc1` (RandAugment, Cubuk et al. 2020, arXiv:1909.13719), `original`
        (AutoAugment), `augmix-m3`
    size : shorter side of the image in pixels; shifts go up to 0.45 of it

    Raises
    ------
    ValueError
        If timm does not know the notation.
    """
    from timm.data import auto_augment

    kinds = {"rand": auto_augment.rand_augment_transform, "augmix": auto_augment.augment_and_mix_transform}
    make = kinds.get(text.split("-")[0], auto_augment.auto_augment_transform)
    try:
        found = make(text, {"translate_const": int(size * 0.45), "img_mean": (128, 128, 128)})
    except (AssertionError, KeyError, ValueError) as error:
        raise ValueError(f"augment.auto_augment is '{text}', which is not in timm's notation") from error
    for change in getattr(found, "ops", None) or [change for part in found.policy for change in part]:
        if change.name.startswith("Posterize"):
            change.level_fn = partial(_at_least_one_bit, change.level_fn)
    return found


def _at_least_one_bit(level: Callable, *arguments: Any) -> tuple[int]:
    """Bits that posterizing keeps; timm asks for none at the strongest level, which Pillow rejects."""
    return (max(1, *level(*arguments)),)


def light(image: Tensor, std: float) -> Tensor:
    """PCA lighting noise, Krizhevsky et al. 2012, section 4.1: one random colour shift for the whole image."""
    shift = _EIGENVECTORS @ (torch.randn(3) * std * _EIGENVALUES)
    return (image + shift.view(3, 1, 1)).clamp(0, 1)


def erase(image: Tensor, probability: float, mode: str) -> Tensor:
    """Random erasing, Zhong et al. 2020 (arXiv:1708.04896): a box of 2 to 33 % of the area, aspect 0.3 to 3.3.

    Parameters
    ----------
    image : (3, h, w) in [0, 1]
    probability : of an image to lose a box
    mode : what fills it. `pixel`: normal noise of mean 0.5 and standard deviation 0.25, truncated to [0, 1]; `channel`:
        one such number per channel; `zero`: 0
    """
    height, width = image.shape[1:]
    if torch.rand(()) >= probability:
        return image
    for _ in range(10):  # a long box may not fit; after ten that do not, the image stays as it is
        area = height * width * torch.empty(()).uniform_(0.02, 1 / 3).item()
        aspect = math.exp(torch.empty(()).uniform_(math.log(0.3), math.log(1 / 0.3)).item())
        h, w = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < h < height and 0 < w < width:
            top, left = (int(torch.randint(free + 1, ())) for free in (height - h, width - w))
            image = image.clone()
            image[:, top : top + h, left : left + w] = _filling(mode, h, w)
            return image
    return image


def _filling(mode: str, height: int, width: int) -> Tensor:
    shape = {"pixel": (3, height, width), "channel": (3, 1, 1), "zero": (3, 1, 1)}[mode]
    noise = torch.zeros(shape)
    return noise if mode == "zero" else torch.nn.init.trunc_normal_(noise, 0.5, 0.25, 0, 1)


def _centre(size: Size, resize: Size, interpolation: str) -> list[Any]:
    resized = v2.Resize(resize, interpolation=_INTERPOLATION[interpolation])
    return [resized, partial(_covering, size=sides(size)), v2.CenterCrop(sides(size))]


def _covering(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The image, if a crop of height and width `size` lies within it; torchvision would make its border black."""
    height, width = image.height, image.width
    if height < size[0] or width < size[1]:
        raise ValueError(
            f"an image of {height}x{width} pixels once resized is smaller than the input of {size_text(size)}: set a "
            f"larger `resize`, or height and width, {size[0]}, {size[1]}, which changes its aspect"
        )
    return image


def _crop(augment: Augment, size: Size) -> list[Any]:
    steps: list[Any] = []
    if augment["random_resized_crop"]:
        options = {key: tuple(augment[key]) for key in ("scale", "ratio")}
        steps.append(
            v2.RandomResizedCrop(sides(size), interpolation=_INTERPOLATION[augment["interpolation"]], **options)
        )
    if augment["crop_padding"]:
        steps.append(v2.RandomCrop(sides(size), padding=augment["crop_padding"]))
    return steps


def _tensor() -> list[Any]:
    return [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
