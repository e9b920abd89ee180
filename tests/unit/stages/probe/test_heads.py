"""Agreement of models by their own heads and by probes: numbers by hand, images joined by id."""

import numpy as np
import pytest

from mettle import tables
from mettle.stages.probe import agreement

KEYS = {"dataset": "d", "norm": "l2", "eps": 3.0}
A = {"own": [0, 1, 2, 0], "probes": [[0, 0], [1, 1], [2, 0], [0, 0]]}  # the two probes agree on 3 of 4
B = {"own": [0, 1, 0, 1], "probes": [[0, 1], [1, 1], [0, 1], [1, 1]]}  # with those of A: 2/4, 1/4, 3/4, 1/4


@pytest.fixture
def answered(tmp_path):
    """A function that writes answers of a model to the images 10, 11, ... of image sets, and gives the file's path."""

    def write(model, own, probes, sets=("natural", "train"), ids=None, order=None):
        n, path = len(own), tmp_path / f"{model}.parquet"
        order = np.arange(n) if order is None else np.asarray(order)
        columns = {
            "dataset": ["d"] * n * len(sets),
            "images": np.repeat(sets, n).astype(object),
            "model": [model] * n * len(sets),
            "id": np.tile((np.arange(n) + 10 if ids is None else np.asarray(ids))[order], len(sets)),
            "label": [0] * n * len(sets),
            "prediction": np.tile(np.asarray(own)[order], len(sets)),
            "probes": np.tile(np.asarray(probes)[order], (len(sets), 1)),
        }
        total = n * len(sets)
        parts = ({key: values[at : at + 3] for key, values in columns.items()} for at in range(0, total, 3))
        tables.stream(path, tables.PROBE, parts, group=3)
        return path

    return write


def by_key(rows):
    return {(row["images"], row["model_b"], row["measure"]): row for row in rows}


def test_numbers_by_hand(answered, tmp_path):
    rows = agreement.agreements(answered("a", **A), [answered("b", **B)], KEYS)
    tables.write(tmp_path / "out.parquet", tables.PROBE_AGREE, rows)
    found = by_key(rows)
    assert list(found) == [
        (images, *rest)
        for images in ("natural", "train")
        for rest in (("b", "pretrained"), ("b", "probe"), ("a", "probe"))
    ]
    assert all(row["n"] == 4 and row["note"] is None and row["model"] == "a" for row in rows)
    for images in ("natural", "train"):
        own, pairs, itself = (found[images, *rest] for rest in (("b", "pretrained"), ("b", "probe"), ("a", "probe")))
        assert (own["value"], own["lo"], own["hi"]) == (0.5, None, None)
        assert (pairs["value"], pairs["lo"], pairs["hi"]) == (7 / 16, 0.25, 0.75)
        assert (itself["value"], itself["lo"], itself["hi"]) == (0.75, 0.75, 0.75)


def test_answers_that_do_not_pair_are_refused(answered, tmp_path):
    whole = answered("a", **A)
    with pytest.raises(ValueError, match=r"b\.parquet: image 11 appears more than once$"):
        agreement.agreements(whole, [answered("b", **B, ids=[10, 11, 11, 13])], KEYS)
    with pytest.raises(ValueError, match=r"b\.parquet holds train images, .*c\.parquet does not"):
        agreement.agreements(answered("c", **A, sets=("natural",)), [answered("b", **B)], KEYS)
    empty = {name: np.zeros((0, 2), int) if name == "probes" else [] for name in tables.PROBE.columns}
    tables.write(tmp_path / "e.parquet", tables.PROBE, empty)
    with pytest.raises(ValueError, match=r"e\.parquet holds no answers$"):
        agreement.agreements(tmp_path / "e.parquet", [], KEYS)


def test_images_are_joined_by_id_not_by_position(answered):
    straight = agreement.agreements(answered("a", **A), [answered("b", **B)], KEYS)
    turned = agreement.agreements(answered("a", **A), [answered("b", **B, order=[2, 0, 3, 1])], KEYS)
    assert turned == straight


def test_numbers_of_probes_may_differ_and_a_single_one_has_no_other(answered, tmp_path):
    own = answered("a", A["own"], [row[:1] for row in A["probes"]])
    rows = agreement.agreements(own, [answered("b", **B)], KEYS)
    tables.write(tmp_path / "out.parquet", tables.PROBE_AGREE, rows)
    found = by_key(rows)
    assert found["train", "b", "probe"]["value"] == pytest.approx((2 + 1) / 8)
    itself = found["train", "a", "probe"]
    assert itself["value"] is itself["lo"] is itself["hi"] is None
    assert itself["note"] == "a single probe has no other to agree with"


def test_the_first_model_of_a_sheet_has_itself_alone(answered):
    rows = agreement.agreements(answered("a", **A), [], KEYS)
    assert [(row["images"], row["model_b"], row["measure"]) for row in rows] == [
        ("natural", "a", "probe"),
        ("train", "a", "probe"),
    ]


def test_loaded_answers_are_small(answered):
    name, found = agreement.load(answered("a", **A))
    assert name == "a" and list(found) == ["natural", "train"]
    assert found["train"].probes.shape == (2, 4) and found["train"].probes.flags.c_contiguous
    assert found["train"].probes.dtype == found["train"].own.dtype == np.int32
    assert found["train"].ids.tolist() == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ids": [10, 11, 12, 99]},
            r"b\.parquet and natural images of .*a\.parquet hold different images: 4 and 4, 3 in",
        ),
        (
            {"sets": ["natural"]},
            r"b\.parquet and train images of .*a\.parquet hold different images: 0 and 4, 0 in common",
        ),
    ],
)
def test_different_images_are_refused(answered, changes, message):
    with pytest.raises(ValueError, match=message):
        agreement.agreements(answered("a", **A), [answered("b", **B, **changes)], KEYS)
