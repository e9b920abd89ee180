"""Augmentation of batches of images, on any device: PRIME and its primitives, and targets that move with images."""

from mettle.augment.diffeo import displacement
from mettle.augment.prime import MASK_SAFE, PRIMITIVES, Primitive, prime
from mettle.augment.warp import warp, warp_boxes, warp_labels, warp_masks

__all__ = [
    "MASK_SAFE",
    "PRIMITIVES",
    "Primitive",
    "displacement",
    "prime",
    "warp",
    "warp_boxes",
    "warp_labels",
    "warp_masks",
]
