"""Corruptions of every family: shapes, the same bytes for the same image, bad input in a sentence."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from mettle.corruptions import ALL, BENCHMARK, GROUPS, SEVERITIES, selected
from mettle.corruptions.corrupter import CORRUPTIONS, Corrupter, Parity
from mettle.corruptions.parameters import FAMILIES

PHOTOGRAPH = load_sample_images().images[0]
SIZES = [(32, 32), (48, 33), (40, 90)]


def image(height=48, width=64):
    return np.ascontiguousarray(PHOTOGRAPH[40 : 40 + 4 * height : 4, 20 : 20 + 4 * width : 4])


def test_the_benchmark_has_fifteen_types_in_four_groups():
    assert len(BENCHMARK) == 15 and tuple(CORRUPTIONS) == ALL and len(ALL) == 19
    assert [len(names) for names in GROUPS.values()] == [3, 4, 4, 4, 4]
    assert [name for group in ("noise", "blur", "weather", "digital") for name in GROUPS[group]] == list(BENCHMARK)


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (["benchmark"], BENCHMARK),
        (["all"], ALL),
        (["snow", "noise", "shot_noise"], (*GROUPS["noise"], "snow")),
        (["extra"], GROUPS["extra"]),
    ],
)
def test_a_selection_names_corruptions_and_groups_each_once_in_the_order_of_the_benchmark(chosen, found):
    assert selected(chosen) == found
    for family in FAMILIES.values():
        assert set(family) == set(CORRUPTIONS)
        assert all(len(values) == 5 for values in family.values())


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_corruption_changes_an_image_of_any_shape(family, name):
    corrupter = Corrupter(family)
    for shape in SIZES:
        for severity in SEVERITIES:
            clean = image(*shape)
            found = corrupter(clean, name, severity, key=1)
            assert found.shape == clean.shape and found.dtype == np.uint8 and found.flags.c_contiguous
            assert not np.array_equal(found, clean)
            assert np.array_equal(clean, image(*shape)), "the image itself has changed"


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_seed_key_name_and_severity_decide_the_bytes_and_nothing_else(name):
    clean = image()
    first = Corrupter()(clean, name, 3, key="a")
    Corrupter()(clean, "fog", 1, key="b")
    assert np.array_equal(Corrupter()(clean, name, 3, key="a"), first)
    others = [Corrupter()(clean, name, 3, key="b"), Corrupter(seed=1)(clean, name, 3, key="a")]
    assert [np.array_equal(other, first) for other in others] == [not CORRUPTIONS[name].draws] * 2


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_grey_image_is_one_of_three_equal_channels(name):
    grey = image()[..., 0]
    found = Corrupter()(grey, name, 2, key=0)
    assert np.array_equal(found, Corrupter()(np.repeat(grey[..., None], 3, axis=2), name, 2, key=0))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_reversed_channels_are_the_corruption_of_the_reversed_image(name):
    clean = image()
    found = Corrupter(parity=Parity(bgr=True))(clean, name, 4, key=0)
    assert np.array_equal(found[..., ::-1], Corrupter()(np.ascontiguousarray(clean[..., ::-1]), name, 4, key=0))


def test_an_unknown_family_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"^unknown family of corruptions 'imagenetc': did you mean 'imagenet_c'\?$"):
        Corrupter("imagenetc")


@pytest.mark.parametrize(
    ("given", "name", "severity", "message"),
    [
        (image(), "gausian_noise", 1, r"^unknown corruption 'gausian_noise': did you mean 'gaussian_noise'\?$"),
        (image(), "fog", 0, r"^severity 0 of fog: severities are 1 to 5; 0, the clean image, is none$"),
        (image(), "fog", 6, r"^severity 6 of fog: severities are 1 to 5"),
        (image(31, 64), "fog", 1, r"^corruptions take images of 32 pixels a side or more, got \(31, 64\)$"),
        (image().astype(np.uint16), "fog", 1, r"^corruptions take images of 8 bits, got uint16: convert them first$"),
        (image()[..., [0, 1, 2, 0]], "fog", 1, r"^corruptions take grey images \(h, w\) or RGB .*, got \(48, 64, 4\)"),
    ],
)
def test_what_cannot_be_corrupted_is_refused_in_a_sentence(given, name, severity, message):
    with pytest.raises(ValueError, match=message):
        Corrupter()(given, name, severity, key=0)
