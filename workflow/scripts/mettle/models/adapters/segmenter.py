"""
Semantic segmentation by the heads of mmsegmentation: UPerNet on any backbone, or a linear layer on patch tokens.

The heads and their losses are mmsegmentation's; what its data preprocessor and its `EncoderDecoder` do around them is
here, in one module from images in [0, 1] to logits, through which gradients flow to the image.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mettle.models.adapters import operators
from mettle.models.adapters.backbone import Backbone
from mettle.models.adapters.dense import Dense, backbone_of, resize, seeded
from mettle.models.adapters.quiet import quiet
from mettle.typed import LinearHead, UperNet
from mettle.units import sides

IGNORED = 255  # in label maps of data sets that ignore nothing, for mmsegmentation needs a value
# Metadata from which a segmenter is made, besides mean and std.
ABOUT = ("arch", "size", "map_classes", "ignore", "backbone", "upernet", "linear", "scale", "transfer")


class Segmenter(Dense):
    """A backbone and mmsegmentation's heads, with normalisation and resizing inside.

    Parameters
    ----------
    maps : the backbone
    about : metadata, `ABOUT` with mean and std

    Attributes
    ----------
    windows : height and width of the windows that an image is cut into after resizing, and of the steps between them,
        in pixels; None for images that are taken whole
    """

    def __init__(self, maps: Backbone, about: dict[str, Any]) -> None:
        super().__init__(maps, about)
        linear = about.get("linear")
        options = linear or about["upernet"]
        with quiet():
            heads = (_linear if linear else _heads)(maps, options, about["map_classes"], about["ignore"])
        self.decode_head, self.auxiliary_head = heads
        slides = options.get("inference") == "slide"  # a key that older files lack
        self.windows = (sides(options["crop"]), sides(options["stride"])) if slides else None

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, map_classes, h, w) of images (n, 3, h, w) in [0, 1] at their own size."""
        found = self.resized(images)
        logits = self._whole(found) if self.windows is None else self._slid(found, *self.windows)
        return resize(logits, images.shape[-2:])

    def _whole(self, images: Tensor) -> Tensor:
        """Logits of images or windows of them, at their size."""
        height, width = images.shape[-2:]
        logits = resize(self.decode_head(self.maps(images)), self.padded_size((height, width)))
        return logits[..., :height, :width]

    def _slid(self, images: Tensor, crop: tuple[int, int], stride: tuple[int, int]) -> Tensor:
        """Logits of images, where windows overlap the mean of theirs."""
        (n, _, height, width), classes = images.shape, self.decode_head.num_classes
        total, count = images.new_zeros(n, classes, height, width), images.new_zeros(height, width)
        for place in windows((height, width), crop, stride):
            total[..., *place] += self._whole(images[..., *place])
            count[place] += 1
        return total / count

    def losses(self, images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Losses by name, each a mean over all pixels, of images (n, 3, h, w) in [0, 1] and label maps (n, h, w).

        Images are taken as they are, not resized. Ignored pixels add nothing to a loss, but count in its mean, as in
        mmsegmentation.
        """
        return self.head_losses(self.maps(images), targets)

    def head_losses(self, maps: tuple[Tensor, ...], targets: Tensor) -> dict[str, Tensor]:
        """The same from the backbone's maps of the images."""
        samples = _samples(self.pad(targets, self.decode_head.ignore_index))
        heads = {"decode": self.decode_head, "auxiliary": self.auxiliary_head}
        return {
            name: head.loss_by_feat(head(maps), samples)["loss_ce"] for name, head in heads.items() if head is not None
        }


def create(about: dict[str, Any], seed: int, drop_path: float = 0.0, network: nn.Module | None = None) -> Segmenter:
    """A segmenter with random weights that depend only on the seed.

    Parameters
    ----------
    about : `ABOUT` with mean, std and, where there is some, `code`; as metadata of weights have them
    seed : of the weights
    drop_path : rate of the backbone's stochastic depth
    network : vision transformer for a linear head, as it is; made from the metadata by default
    """
    with seeded(seed):
        return Segmenter(backbone_of(about, drop_path, network), about)


def windows(size: Sequence[int], crop: Sequence[int], stride: Sequence[int]) -> list[tuple[slice, slice]]:
    """Rows and columns of windows that cover an image, the last flush with its border.

    Parameters
    ----------
    size, crop, stride : height and width of the image, of a window, and of the steps between windows
    """
    firsts = [_firsts(*of) for of in zip(size, crop, stride, strict=True)]
    return [(slice(y, y + crop[0]), slice(x, x + crop[1])) for y in firsts[0] for x in firsts[1]]


def _firsts(side: int, crop: int, stride: int) -> list[int]:
    """Where windows begin along a side."""
    last = max(side - crop, 0)
    return [*range(0, last, stride), last]


def _heads(maps: Backbone, options: UperNet, classes: int, ignore: int | None) -> tuple[nn.Module, nn.Module | None]:
    operators.register()
    from mmseg.models.decode_heads import FCNHead, UPerHead

    shared = {"num_classes": classes, "norm_cfg": {"type": "BN"}, "dropout_ratio": options["dropout"]}
    shared["ignore_index"] = IGNORED if ignore is None else ignore
    places = list(range(len(maps.channels)))
    every = {"in_channels": maps.channels, "in_index": places, "pool_scales": options["pool_scales"]}
    head = UPerHead(channels=options["channels"], loss_decode=_loss(1.0), **every, **shared)
    auxiliary = None
    if options["auxiliary_weight"]:
        third = {"in_channels": maps.channels[-2], "in_index": places[-2], "num_convs": 1, "concat_input": False}
        loss = _loss(options["auxiliary_weight"])
        auxiliary = FCNHead(channels=options["auxiliary_channels"], loss_decode=loss, **third, **shared)
    for one in filter(None, (head, auxiliary)):
        if options["init_std"] is not None:
            nn.init.normal_(one.conv_seg.weight, std=options["init_std"])
            nn.init.zeros_(one.conv_seg.bias)
    return head, auxiliary


def _linear(
    maps: Backbone, options: LinearHead, classes: int, ignore: int | None
) -> tuple[nn.Module, nn.Module | None]:
    """A 1x1 convolution of all maps together, behind batch normalisation: the linear evaluation of DINOv2."""
    operators.register()
    from mmseg.models.decode_heads import FCNHead

    width, several = sum(maps.channels), len(maps.channels) > 1
    shared = {"num_classes": classes, "dropout_ratio": 0, "loss_decode": _loss(1.0)}
    shared["ignore_index"] = IGNORED if ignore is None else ignore
    taken = {"in_channels": maps.channels, "in_index": list(range(len(maps.channels)))}
    taken = taken | {"input_transform": "resize_concat"} if several else {"in_channels": width, "in_index": 0}
    head = FCNHead(num_convs=0, concat_input=False, channels=width, **taken, **shared)
    if options["batch_norm"]:
        head.convs = nn.BatchNorm2d(width)
    nn.init.normal_(head.conv_seg.weight, std=0.01)
    nn.init.zeros_(head.conv_seg.bias)
    return head, None


def _loss(weight: float) -> dict[str, Any]:
    return {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": weight}


def _samples(targets: Tensor) -> list[Any]:
    """Label maps in mmsegmentation's records."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    return [SegDataSample(gt_sem_seg=PixelData(data=target[None])) for target in targets]
