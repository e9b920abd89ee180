"""
Any classification network as the backbone of segmentation and detection: its feature maps at given strides.

Networks of timm, and ours that are timm's, keep the names of their weights, so that those of a classifier load as they
are. Networks of mmsegmentation have the names of OpenMMLab's checkpoints.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mettle.models import features, own, swin, weights
from mettle.models.adapters import operators
from mettle.models.adapters.quiet import quiet
from mettle.models.architectures import build_any_size
from mettle.models.classifier import Size
from mettle.models.finetune import resized
from mettle.typed import BackboneOptions, LinearHead

State = dict[str, Tensor]

_NORMS = nn.modules.batchnorm._BatchNorm
# Networks of mmsegmentation by our names: class, options, module of each stage.
_NATIVE: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "resnet50": ("ResNet", {"depth": 50, "zero_init_residual": False}, [f"layer{k}" for k in range(1, 5)]),
    "swin_tiny_patch4_window7_224": (
        "SwinTransformer",
        {"embed_dims": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
        [f"stages.{k}" for k in range(4)],
    ),
}


class Backbone(nn.Module):
    """Feature maps of a network, from normalised images.

    Parameters
    ----------
    network : the network, without classifier
    stages : module that ends each stage, the deepest last
    options : the recipe's block `backbone`
    transfer : column of the model's row. With `fixed` the network is in evaluation mode, training or not, and its
        parameters take no gradients

    Attributes
    ----------
    strides : pixels of the image per pixel of each map, ascending
    channels : channels of each map
    divisor : sides of images must be multiples of it
    beside : names of entries that no classifier has, and that then stay as they are
    """

    strides: list[int]
    channels: list[int]
    divisor: int
    beside: re.Pattern[str] | None = None

    def __init__(self, network: nn.Module, stages: Sequence[str], options: BackboneOptions, transfer: str) -> None:
        super().__init__()
        self.network, self.strides = network, list(options["strides"])
        self._fixed = transfer == "fixed"
        still = {network} if self._fixed else set(_front(network, stages[: options["frozen_stages"]]))
        for module in still:
            module.requires_grad_(False)
        norms = (module for module in network.modules() if isinstance(module, _NORMS) and options["norm_eval"])
        self._still = [*still, *norms]  # in evaluation mode all the time

    def train(self, mode: bool = True) -> "Backbone":
        """Training mode for all but what is fixed."""
        super().train(mode)
        for module in self._still:
            module.eval()
        return self

    def load(self, path: str | Path, arch: str) -> dict[str, list[str]]:
        """Load the weights of a base, all of them but its head; see `finetune.Report` for what is returned.

        Parameters
        ----------
        path : file that `save` wrote, of a classifier or a model on a backbone
        arch : architecture that it must have

        Raises
        ------
        ValueError
            If it has another architecture, or an entry of the network is not in the file and not in `beside`.
        """
        state, about = weights.read(path)
        if about["arch"] != arch:
            raise ValueError(f"{path}: the base has architecture '{about['arch']}', the model has '{arch}'")
        inner = "network." if about.get("task", "classification") == "classification" else "backbone.network."
        old = self.renamed({key.removeprefix(inner): value for key, value in state.items() if key.startswith(inner)})
        own = self.network.state_dict()
        fresh = [key for key in own if key not in old and self.beside and self.beside.match(key)]
        keys = [key for key in own if key not in fresh]
        found = resized(self.network, old, keys)
        kept = {key: own[key] for key in fresh}
        weights.fill(self.network, kept | {key: found[key] for key in keys if key in found}, path)
        same = [key for key in keys if key in old and old[key].shape == found[key].shape]
        return {
            "loaded": same,
            "interpolated": [key for key in keys if key not in same],
            "missing": fresh,
            "unexpected": [key for key in found if key not in keys],
        }

    def renamed(self, state: State) -> State:
        """Entries of a classifier, or of a backbone, under the names of the network."""
        return state


class TimmBackbone(Backbone):
    """Feature maps of a network that has timm's `feature_info` and `forward_intermediates`.

    For each stride the last map of this stride; where the network has none, that of the nearest stride, interpolated.
    A network whose maps all have one stride, such as a ViT, gives those at equal distances in depth.
    """

    def __init__(self, network: nn.Module, options: BackboneOptions, transfer: str) -> None:
        info = getattr(network.feature_info, "info", network.feature_info)
        reductions = [stage["reduction"] for stage in info]
        indices = _indices(reductions, options["strides"])
        super().__init__(network, [info[k]["module"] for k in indices], options, transfer)
        self._indices = indices
        self.channels = [info[k]["num_chs"] for k in indices]
        self.divisor = max(reductions)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (n, c, h / stride, w / stride) of normalised images (n, 3, h, w), h and w multiples of `divisor`."""
        taken = sorted(set(self._indices))
        found = self.network.forward_intermediates(images, indices=taken, intermediates_only=True, stop_early=True)
        maps = dict(zip(taken, found, strict=True))
        height, width = images.shape[-2:]
        sizes = [(math.ceil(height / stride), math.ceil(width / stride)) for stride in self.strides]
        return tuple(_at(maps[k], size) for k, size in zip(self._indices, sizes, strict=True))


class PatchMaps(Backbone):
    """Patch tokens of a vision transformer of timm as maps, one for each of some blocks.

    Parameters
    ----------
    network : the network, which takes images of any size, with robustness tokens or without
    options : the recipe's block `linear`: `layers`, whether the network's final `norm` is applied, and whether
        `class_token` is put beside every patch token
    transfer : as in `Backbone`
    """

    def __init__(self, network: nn.Module, options: LinearHead, transfer: str) -> None:
        features.check(network)
        patch, layers = network.patch_embed.feat_ratio(), options["layers"]
        fixed = {"strides": [patch] * len(layers), "frozen_stages": 0, "norm_eval": False}
        super().__init__(network, [], fixed, transfer)
        self._layers, self._norm, self._class_token = layers, options["norm"], options["class_token"]
        if self._class_token and network.cls_token is None:
            raise ValueError(f"{type(network).__name__} has no class token: set linear.class_token to false")
        self.channels = [network.embed_dim * (1 + self._class_token)] * len(layers)
        self.divisor = patch

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (n, d, h / patch, w / patch) of normalised images (n, 3, h, w), twice as deep with a class token."""
        found = features.intermediate(self.network, images, self._layers, self._norm)
        if not self._class_token:
            return tuple(maps for _, maps in found)
        return tuple(torch.cat([maps, token[..., None, None].expand_as(maps)], dim=1) for token, maps in found)


class NativeBackbone(Backbone):
    """Feature maps of a network of mmsegmentation, at strides 4, 8, 16 and 32."""

    beside = swin.BESIDE

    def __init__(self, network: nn.Module, stages: Sequence[str], options: BackboneOptions, transfer: str) -> None:
        super().__init__(network, stages, options, transfer)
        width = network.num_features if hasattr(network, "num_features") else None
        self._taken = [stride.bit_length() - 3 for stride in self.strides]
        self.channels = [width[k] if width else 256 * 2**k for k in self._taken]
        self.divisor = 1

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (n, c, h / stride, w / stride), rounded up, of normalised images (n, 3, h, w)."""
        maps = self.network(images)
        return tuple(maps[k] for k in self._taken)

    def renamed(self, state: State) -> State:
        """Entries of a Swin Transformer of timm under OpenMMLab's names; any other state as it is."""
        return swin.to_openmmlab(state) if "layers.0.blocks.0.attn.qkv.weight" in state else state


def create(
    arch: str,
    size: Size,
    options: BackboneOptions,
    transfer: str = "full",
    drop_path: float = 0.0,
    code: own.Digests | None = None,
) -> Backbone:
    """A backbone with random weights.

    Parameters
    ----------
    arch, drop_path, code : as in `build`
    size : of training images in pixels, side of a square or (height, width); it takes images of any size
    options : the recipe's block `backbone`
    transfer : column of the model's row

    Raises
    ------
    ValueError
        If the network has no feature maps, or no implementation of this kind.
    """
    if options["names"] == "native":
        return _native(arch, options, transfer, drop_path)
    network = build_any_size(arch, 0, size, drop_path, code)
    if not (hasattr(network, "forward_intermediates") and getattr(network, "feature_info", None)):
        raise ValueError(
            f"architecture '{arch}' gives no feature maps (timm's forward_intermediates), which a backbone of "
            "segmentation or detection needs: take one of timm, or resnet10t_half"
        )
    return TimmBackbone(network, options, transfer)


def _native(arch: str, options: BackboneOptions, transfer: str, drop_path: float) -> Backbone:
    if arch not in _NATIVE:
        raise ValueError(
            f"backbone.names is 'native', but mmsegmentation has no '{arch}' here; there are {', '.join(_NATIVE)}"
        )
    kind, shape, stages = _NATIVE[arch]
    if drop_path and kind == "ResNet":
        raise ValueError(f"architecture '{arch}' has no drop path: drop_path must be 0, got {drop_path:g}")
    more = {"drop_path_rate": drop_path} if kind == "SwinTransformer" else {}
    if others := [stride for stride in options["strides"] if stride not in (4, 8, 16, 32)]:
        raise ValueError(f"strides are 4, 8, 16 and 32 where backbone.names is 'native', got {others[0]}")
    operators.register()
    with quiet():
        from mmseg.models import backbones

        network = getattr(backbones, kind)(**shape, **more)
        network.init_weights()
    return NativeBackbone(network, stages, options, transfer)


def _indices(reductions: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Which of a network's maps to take for each stride."""
    if len(set(reductions)) == 1:
        return [math.ceil((k + 1) * len(reductions) / len(strides)) - 1 for k in range(len(strides))]
    last = {reduction: k for k, reduction in enumerate(reductions)}
    return [last[min(last, key=lambda found: abs(math.log(found / stride)))] for stride in strides]


def _at(found: Tensor, size: tuple[int, int]) -> Tensor:
    if found.shape[-2:] == size:
        return found
    return F.interpolate(found, size, mode="bilinear", align_corners=False, antialias=True)


def _front(network: nn.Module, stages: Sequence[str]) -> list[nn.Module]:
    """Modules up to the end of the last of these stages, in the order of registration."""
    if not stages:
        return []
    names = [name for name, module in network.named_modules() if not list(module.children())]
    end = max(k for k, name in enumerate(names) if f"{name}.".startswith(f"{stages[-1]}."))
    return [network.get_submodule(name) for name in names[: end + 1]]
