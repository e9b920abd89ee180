"""Represent files joined in pairs: by id, whole, and the same images."""

import numpy as np
import pytest

from mettle.stages import compare
from mettle.stages.compare.representation import pairs
from representations import write


def test_only_the_vectors_that_are_asked_for_are_read(tmp_path):
    path = write(tmp_path, "a")
    assert compare.load(path).features is None
    found = compare.load(path, "features")
    assert found.features.shape == (120, 6) and found.logits is None
    assert str(found) == f"a on natural images ({path})"


def test_images_are_joined_by_id_not_by_position(tmp_path):
    order = np.random.default_rng(1).permutation(120)
    a = compare.load(write(tmp_path, "a"), "features")
    b = compare.load(write(tmp_path, "b", id=order, label=order % 4), "features", "logits")
    joined = compare.join(a, b)
    assert (joined.ids == a.ids).all() and (joined.label == a.label).all()
    assert (joined.features[order] == b.features).all() and (joined.logits[order] == b.logits).all()


def test_pairs_with_different_images_are_refused(tmp_path):
    a, b = (compare.load(write(tmp_path, name, id=np.arange(120) + shift)) for name, shift in (("a", 0), ("b", 7)))
    with pytest.raises(
        ValueError, match=r"a on natural images \(.*a.parquet\) and b on .* hold different images: 120 and 120, 113 in"
    ):
        compare.join(a, b)
    short = compare.load(write(tmp_path, "c", n=60))
    with pytest.raises(ValueError, match=r"different images: 120 and 60"):
        compare.join(a, short)


def test_other_labels_are_refused(tmp_path):
    a, b = compare.load(write(tmp_path, "a")), compare.load(write(tmp_path, "b", label=np.zeros(120, int)))
    with pytest.raises(ValueError, match=r"give different labels to the same images"):
        compare.join(a, b)


def test_an_image_that_stands_twice_is_refused(tmp_path):
    path = write(tmp_path, "a", id=np.minimum(np.arange(120), 117))
    with pytest.raises(ValueError, match=r"a\.parquet: image 117 appears more than once \(2 such rows\)"):
        compare.load(path)


def test_half_a_file_is_refused(tmp_path):
    path = write(tmp_path, "a")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"a\.parquet is not a complete parquet file"):
        compare.load(path, "features")


def test_a_first_that_follows_itself_is_read_once(tmp_path):
    a, b, c = (write(tmp_path, name) for name in "abc")
    found = list(pairs([(a, b), (a, c), (b, c)], "features"))
    assert [(one.model, other.model) for one, other in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found[0][0] is found[1][0]


def test_on_natural_images_the_model_comes_first():
    assert compare.paired(["c", "a", "b"], "natural", "c", ["a", "b"]) == (["c", "c"], ["a", "b"])
    assert compare.paired(["a"], "natural", "a", []) == ([], [])


def test_on_inverted_images_there_are_both_directions_with_the_source_first():
    first, second = compare.paired(["crossed/c"], "inverted", "c", ["a", "b"])
    where = [(path.parent.name, path.name) for path in [*first, *second]]
    of_first = [("inverted-c", "c.parquet")] * 2 + [("inverted-a", "a.parquet"), ("inverted-b", "b.parquet")]
    of_second = [("inverted-c", "a.parquet"), ("inverted-c", "b.parquet")]
    of_second += [("inverted-a", "c.parquet"), ("inverted-b", "c.parquet")]
    assert where == of_first + of_second and str(first[0]).startswith("crossed/c/")
    assert compare.paired([], "inverted", "a", []) == ([], [])
