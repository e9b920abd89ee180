"""Run lengths: columns first, as COCO counts, whoever made them; and segmentations that cannot be are told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as codec

from mettle.data import masks, runs


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@settings(max_examples=60, deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 13))))
def test_a_mask_comes_back(mask):
    counts = masks.encode(mask)
    assert counts.isascii()
    assert np.array_equal(runs.decode(counts, mask.shape), mask)
    assert runs.area(counts) == mask.sum()
    assert runs.lengths(counts) == lengths(mask)
    assert np.array_equal(codec.decode([{"size": list(mask.shape), "counts": counts.encode()}])[..., 0], mask)


def lengths(mask):
    """Run lengths by their definition: pixels in columns, the first run is of zeros."""
    found, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            found.append(0)
            value = not value
        found[-1] += 1
    return found


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_as_numbers_are_those_of_the_definition(seed):
    mask = np.random.default_rng(seed).random((6, 11)) < 0.4
    counts = masks.from_segmentation({"size": [6, 11], "counts": lengths(mask)}, (6, 11))
    assert np.array_equal(runs.decode(counts, (6, 11)), mask)
    assert masks.from_segmentation({"size": [6, 11], "counts": counts}, (6, 11)) == counts


def test_polygons_are_filled_and_joined():
    square = [2, 1, 5, 1, 5, 4, 2, 4]
    mask = runs.decode(masks.from_segmentation([square], (6, 8)), (6, 8))
    expected = np.zeros((6, 8), bool)
    expected[1:4, 2:5] = True
    assert np.array_equal(mask, expected)
    both = runs.decode(masks.from_segmentation([square, [6.0, 1.0, 8.0, 1.0, 8.0, 4.0, 6.0, 4.0]], (6, 8)), (6, 8))
    expected[1:4, 6:8] = True
    assert np.array_equal(both, expected)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 1, 3, 3]], r"a polygon of its segmentation has 4 numbers, but three points or more need 6, 8, \.\.\.$"),
        ([[1, 1, 3, 3, 1, 3, 2]], "a polygon of its segmentation has 7 numbers, but three points"),
        ([], "its segmentation is neither polygons nor run lengths"),
        ("x", "its segmentation is neither polygons nor run lengths"),
        ({"size": [8, 6], "counts": [48]}, "its mask is of 6x8 pixels, but its image has 8x6"),
        ({"size": [6, 8], "counts": [47]}, "its run lengths count 47 pixels, but its image has 48"),
        ({"size": [6, 8], "counts": [50, -2]}, "its run lengths hold -2"),
        ({"size": [6, 8], "counts": "92"}, "its run lengths count 11 pixels, but its image has 48"),
        ({"size": [6, 8], "counts": "9 2"}, "its run lengths hold the character ' ', which has no meaning there"),
        ({"size": [6, 8], "counts": "9T"}, "its run lengths end within a number"),
    ],
)
def test_what_is_no_segmentation_is_told(segmentation, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        masks.from_segmentation(segmentation, (6, 8))
