"""Masks and polygons to run lengths, by pycocotools, so that they are COCO's to the pixel."""

from typing import Any

import numpy as np
from pycocotools import mask as codec

from mettle.data.runs import Size, lengths


def encode(mask: np.ndarray) -> str:
    """Run lengths of a mask, bool (h, w)."""
    return codec.encode(np.asfortranarray(mask, np.uint8))["counts"].decode("ascii")


def from_segmentation(segmentation: Any, size: Size) -> str:
    """Run lengths of the cell `segmentation` of a COCO annotation.

    Parameters
    ----------
    segmentation : polygons, each x, y, x, y, ... in pixels; or run lengths, compressed or as a list of numbers
    size : height and width of the image

    Raises
    ------
    ValueError
        If a polygon has fewer than three points, run lengths are for an image of another size, or it is neither.
    """
    if isinstance(segmentation, dict) and set(segmentation) >= {"size", "counts"}:
        return _from_runs(segmentation, size)
    if not isinstance(segmentation, list) or not segmentation or not all(isinstance(one, list) for one in segmentation):
        raise ValueError("its segmentation is neither polygons nor run lengths")
    for polygon in segmentation:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(
                f"a polygon of its segmentation has {len(polygon)} numbers, but three points or more need 6, 8, ..."
            )
    parts = codec.frPyObjects([np.asarray(polygon, np.float64).tolist() for polygon in segmentation], *size)
    return codec.merge(parts)["counts"].decode("ascii")


def _from_runs(segmentation: dict[str, Any], size: Size) -> str:
    if tuple(segmentation["size"]) != size:
        height, width = segmentation["size"]
        raise ValueError(f"its mask is of {width}x{height} pixels, but its image has {size[1]}x{size[0]}")
    counts = segmentation["counts"]
    runs = lengths(counts) if isinstance(counts, str) else counts
    if min(runs, default=0) < 0:
        raise ValueError(f"its run lengths hold {min(runs)}")
    if sum(runs) != size[0] * size[1]:
        raise ValueError(f"its run lengths count {sum(runs)} pixels, but its image has {size[0] * size[1]}")
    return counts if isinstance(counts, str) else codec.frPyObjects(segmentation, *size)["counts"].decode("ascii")
