"""Names of published networks that differ from those of ours."""

import re

from torch import Tensor

State = dict[str, Tensor]

# Names in MadryLab's networks for CIFAR (its `cifar_models`) that differ from ours.
_OTHERWISE = {r"^linear\.": "fc.", r"^(layer\d\.\d+)\.shortcut\.": r"\1.downsample."}


def madry(state: State) -> State:
    """A network of MadryLab's `robustness` library, under the names of ours."""
    return {_of_cifar(key, state): value for key, value in state.items()}


def _of_cifar(key: str, state: State) -> str:
    if key.startswith("classifier.") and {"classifier.weight", "features.0.weight"} <= state.keys():
        return key.replace("classifier.", "fc.", 1)  # its VGG; torchvision's has three layers there
    for theirs, ours in _OTHERWISE.items():
        key = re.sub(theirs, ours, key)
    return key


def bai(state: State) -> State:
    """
    The GELU ResNet-50 of Bai et al. 2021 (arXiv:2111.05464) as `resnet50_gelu`.

    There, each normalisation is eight batch normalisations without weights, chosen by kind of image, and one affine map
    after them. They see halves of a batch as different channels, so that their statistics are twice as long. At test
    time the first half of the first one is in use; with the affine map it is an ordinary batch normalisation.
    """
    found = {}
    for key, value in state.items():
        if match := re.fullmatch(r"(.+)\.bn(\d)\.proxy_bn\.(\w+)", key):
            name, which, entry = match.groups()
            if which == "0":
                found[f"{name}.{entry}"] = value[: len(value) // 2] if value.ndim else value
        else:
            found[key.replace(".aff.bnconv.", ".")] = value.flatten() if ".aff.bnconv." in key else value
    return found
