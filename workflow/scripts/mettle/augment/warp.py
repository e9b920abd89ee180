"""Images, label maps, masks and boxes under a displacement field: what is at p comes from p plus the displacement."""

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(images: Tensor, field: Tensor, mode: str = "bilinear") -> Tensor:
    """Images under displacement fields.

    Parameters
    ----------
    images : (n, c, h, w), floating point
    field : (n, 2, h, w), along x and y in pixels; beyond the border the border's value counts
    mode : interpolation, `bilinear` or `nearest`
    """
    height, width = images.shape[2:]
    x, y = _sources(field).unbind(1)
    grid = torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], dim=-1)
    return F.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=True)


def warp_labels(labels: Tensor, field: Tensor) -> Tensor:
    """Label maps (n, h, w) of integers under displacement fields (n, 2, h, w): each pixel has one of the labels."""
    return warp(labels[:, None].float(), field, "nearest")[:, 0].to(labels.dtype)


def warp_masks(masks: Tensor, field: Tensor) -> Tensor:
    """Masks (k, h, w) of the objects of one image, bool, under its displacement field (2, h, w)."""
    return warp(masks[None].float(), field[None], "nearest")[0] > 0.5


def warp_boxes(boxes: Tensor, field: Tensor) -> Tensor:
    """Boxes around what the boxes of one image hold after its displacement.

    Parameters
    ----------
    boxes : (k, 4), x1, y1, x2, y2 in pixels; pixel (0, 0) reaches from 0 to 1
    field : (2, h, w) in pixels

    Returns
    -------
    Tensor
        (k, 4), exact for a field of 0, else to less than a pixel. A box with no pixel's centre in it becomes 0, 0, 0,
        0. An object with a mask has a closer box, that of its warped mask.
    """
    source = _sources(field[None])[0] + 0.5
    into, beyond = (source - boxes[:, :2, None, None], boxes[:, 2:, None, None] - source)  # (k, 2, h, w), inside >= 0
    inside = ((into >= 0) & (beyond > 0)).all(1, keepdim=True)
    here = _places(field) + 0.5
    # An edge lies less than a pixel beyond the last centre inside, as far as the field there says.
    low = (here - into.clamp(max=1)).masked_fill(~inside, float("inf")).amin((2, 3))
    high = (here + beyond.clamp(max=1)).masked_fill(~inside, float("-inf")).amax((2, 3))
    found = torch.cat([low, high], 1)
    return torch.where(inside.any((1, 2, 3))[:, None], found, 0.0).to(boxes.dtype)


def _sources(field: Tensor) -> Tensor:
    """Where the pixels of fields (n, 2, h, w) come from, (n, 2, h, w) in pixels."""
    return field + _places(field)


def _places(field: Tensor) -> Tensor:
    """Positions of pixels, (2, h, w): x and y."""
    height, width = field.shape[-2:]
    y, x = (torch.arange(side, dtype=field.dtype, device=field.device) for side in (height, width))
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
