"""Features of a file: checked in one pass, then streamed with every image once."""

import itertools

import numpy as np
import pytest

from mettle import tables
from mettle.stages.probe.features import bounds, look

N = 103


@pytest.fixture
def numbered(represented):
    """A file whose features are the number of the row, and whose labels are that number mod 3."""
    return look(represented(np.arange(N)[:, None] + np.zeros(4), np.arange(N) % 3), "m", "train", 3)


def rows(features, buffer, seed=0):
    """Numbers of the rows in the parts of an epoch."""
    found = []
    for part, labels in features.chunks(buffer, np.random.default_rng(seed)):
        assert (part == part[:, :1]).all() and (part[:, 0] % 3 == labels).all()
        found.append(part[:, 0].astype(int).tolist())
    return found


@pytest.mark.parametrize("buffer", [1, 7, 16, 40, 102, 103, 1000])
def test_an_epoch_has_every_image_once_in_parts_no_larger_than_the_buffer(numbered, buffer):
    parts = rows(numbered, buffer)
    sizes = list(map(len, parts))
    assert sorted(itertools.chain(*parts)) == list(range(N))
    assert max(sizes) <= buffer and max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-N // buffer)


def test_row_groups_come_in_an_order_that_the_seed_draws(numbered):
    first, again, other = (list(itertools.chain(*rows(numbered, 20, seed))) for seed in (0, 0, 1))
    assert first == again != other
    starts = [row for row in first if row % 16 == 0]
    assert starts != sorted(starts) and sorted(starts) == list(range(0, N, 16))
    assert all(first[first.index(start) : first.index(start) + 7] == list(range(start, start + 7)) for start in starts)


def test_a_file_that_fits_the_buffer_is_read_as_it_stands(numbered):
    assert rows(numbered, N) == [list(range(N))]


def test_parts_share_one_memory(numbered):
    parts = [part for part, _ in numbered.chunks(20, np.random.default_rng(0))]
    assert all(np.shares_memory(parts[0], part) for part in parts)


def test_look_counts(numbered):
    assert (numbered.n, numbered.width) == (N, 4)


@pytest.mark.parametrize(("n", "most", "sizes"), [(10, 4, [4, 3, 3]), (8, 4, [4, 4]), (3, 10, [3]), (3, 1, [1, 1, 1])])
def test_bounds_by_hand(n, most, sizes):
    assert bounds(n, most) == sizes


def test_moments_are_those_of_all_rows(represented):
    features = np.random.default_rng(0).normal(1000, 0.1, size=(N, 4)).astype(np.float32)
    features[:, 2] = 7
    mean, std = look(represented(features, np.zeros(N, int)), "m", "train", 3).moments()
    exact = features.astype(float)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-13)
    np.testing.assert_allclose(std[[0, 1, 3]], exact.std(0)[[0, 1, 3]], rtol=1e-9)
    assert std[2] == 1


def test_spread_tells_random_order_from_one_sorted_by_class(represented):
    labels = np.random.default_rng(0).integers(0, 10, 800)
    features = np.zeros((800, 1))
    assert look(represented(features, labels), "m", "train", 10).spread == pytest.approx(1, abs=0.05)
    # Row groups of 16 hold 1 or 2 of the 10 classes, a random sample of 16 holds 10 (1 - 0.9 ** 16) = 8.1.
    assert 1 / 8.2 < look(represented(features, np.sort(labels)), "m", "train", 10).spread < 2 / 8


# Errors


def test_features_that_are_not_finite_are_refused(represented):
    features = np.zeros((40, 4))
    features[33, 1], features[35, 2] = np.nan, np.inf
    path = represented(features, np.zeros(40, int), ids=np.arange(40) + 500)
    message = rf"^m on train images \({path}\): features are not finite, first on image 533$"
    with pytest.raises(ValueError, match=message):
        look(path, "m", "train", 3)


def test_an_image_that_stands_there_twice_is_refused(represented):
    path = represented(np.zeros((40, 4)), np.zeros(40, int), ids=[*range(39), 7])
    with pytest.raises(ValueError, match=r"^m on natural images \(.*m-train\.parquet\): image 7 appears 2 times$"):
        look(path, "m", "natural", 3)


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class_is_refused(represented, label):
    path = represented(np.zeros((40, 4)), [0] * 39 + [label])
    with pytest.raises(ValueError, match=rf"m on train images .*: label {label} is none of 3 classes, 0 to 2$"):
        look(path, "m", "train", 3)


def test_a_file_without_images_is_refused(tmp_path):
    empty = {name: [] for name in tables.REPRESENT.columns} | {"logits": np.zeros((0, 3)), "features": np.zeros((0, 4))}
    tables.write(tmp_path / "empty.parquet", tables.REPRESENT, empty)
    with pytest.raises(ValueError, match=r"empty\.parquet\): there are no images$"):
        look(tmp_path / "empty.parquet", "m", "train", 3)
