"""Parts of the images of a pair: who belongs to which, scored from scratch, drawn to one size."""

import numpy as np
import pytest
from scipy.special import softmax

from mettle import measures, tables
from mettle.stages import compare
from representations import write

CKA = {"method": "cka"}
JACCARD = {"method": "jaccard", "k": 5}
KEYS = {"dataset": "d", "measure": "cka", "norm": None, "eps": 0.0}


def subgroup_rows(tmp_path, options, split="agreement", few=0, **second):
    a, b = write(tmp_path, "a", seed=1, disagree=0), write(tmp_path, "b", seed=2, **second)
    rows = compare.subgroups([a], [b], KEYS, options, split, draws=4, few=few, seed=0)
    tables.write(tmp_path / "out.parquet", tables.SUBGROUPS, rows)
    return {row["subgroup"]: row for row in rows}, *(compare.load(path, "features", "logits") for path in (a, b))


@pytest.mark.parametrize("options", [CKA, JACCARD, {"method": "procrustes"}], ids=lambda o: o["method"])
def test_subgroups_are_scored_from_scratch(tmp_path, options):
    """The original's accumulator carried sums from one subgroup into the next."""
    rows, a, b = subgroup_rows(tmp_path, options)
    method, own = options["method"], {key: value for key, value in options.items() if key != "method"}
    for name, chosen in (("agree", slice(40, None)), ("disagree", slice(None, 40))):
        expected = measures.compare(method, a.features[chosen], b.features[chosen], **own)
        assert rows[name]["value"] == pytest.approx(expected, abs=1e-12)
    assert (rows["agree"]["n"], rows["disagree"]["n"]) == (80, 40)


def test_matched_groups_have_one_size_and_are_drawn_from_their_group(tmp_path):
    rows, _, _ = subgroup_rows(tmp_path, CKA)
    assert rows["agree_matched"]["n"] == rows["disagree_matched"]["n"] == 40
    assert rows["disagree_matched"]["value"] == rows["disagree"]["value"]
    matched = rows["agree_matched"]
    assert matched["lo"] < matched["value"] < matched["hi"]
    assert matched["value"] != rows["agree"]["value"]
    again, _, _ = subgroup_rows(tmp_path, CKA)
    assert again["agree_matched"] == matched


def test_matching_works_when_disagreement_is_the_larger_group(tmp_path):
    rows, _, _ = subgroup_rows(tmp_path, CKA, disagree=90)
    assert (rows["agree_matched"]["n"], rows["disagree_matched"]["n"]) == (30, 30)
    assert rows["agree_matched"]["value"] == rows["agree"]["value"]
    assert rows["disagree_matched"]["value"] != rows["disagree"]["value"]


def test_a_group_too_small_for_the_measure_says_so(tmp_path):
    rows, _, _ = subgroup_rows(tmp_path, JACCARD, disagree=3)
    assert rows["disagree"]["value"] is None
    assert rows["disagree"]["note"] == "3 images in the group, jaccard needs 7"
    assert rows["agree"]["value"] is not None
    assert rows["agree_matched"]["value"] is None
    assert rows["agree_matched"]["note"] == "3 images in the smaller group, jaccard needs 7"


def test_a_score_of_few_images_says_so(tmp_path):
    rows, _, _ = subgroup_rows(tmp_path, CKA, few=41)
    assert {name: row["note"] for name, row in rows.items()} == {
        "agree": None,
        "agree_matched": "rests on fewer than 41 images",
        "disagree": "rests on fewer than 41 images",
        "disagree_matched": "rests on fewer than 41 images",
    }
    assert all(row["value"] is not None for row in rows.values())
    rows, _, _ = subgroup_rows(tmp_path, CKA, few=40)
    assert {row["note"] for row in rows.values()} == {None}
    rows, _, _ = subgroup_rows(tmp_path, JACCARD, few=41, disagree=3)
    assert rows["disagree"]["note"] == "3 images in the group, jaccard needs 7", "it has no score"


def test_correctness_splits_by_whether_both_are_right(tmp_path):
    rows, a, b = subgroup_rows(
        tmp_path, CKA, "correctness", prediction=np.where(np.arange(120) < 30, 0, np.arange(120) % 4)
    )
    right = (a.prediction == a.label) & (b.prediction == b.label)
    assert (rows["right"]["n"], rows["wrong"]["n"]) == (right.sum(), (~right).sum())
    expected = measures.compare("cka", a.features[~right], b.features[~right])
    assert rows["wrong"]["value"] == pytest.approx(expected, abs=1e-12)


def test_confidence_splits_at_the_median_of_the_less_confident_of_both(tmp_path):
    rows, a, b = subgroup_rows(tmp_path, CKA, "confidence")
    least = np.minimum(softmax(a.logits, axis=1).max(1), softmax(b.logits, axis=1).max(1))
    sure = least >= np.median(least)
    assert rows["confident"]["n"] == sure.sum() == 60 and rows["unsure"]["n"] == 60
    assert rows["unsure"]["value"] == pytest.approx(measures.compare("cka", a.features[~sure], b.features[~sure]))
    assert set(rows) == {"confident", "unsure", "confident_matched", "unsure_matched"}


def test_a_part_on_which_a_measure_is_undefined_says_so(tmp_path):
    features = np.random.default_rng(0).normal(size=(120, 6))
    features[:40] = 1.0
    rows, _, _ = subgroup_rows(tmp_path, CKA, features=features)
    assert rows["disagree"]["value"] is None and "constant over images" in rows["disagree"]["note"]
    assert rows["agree"]["value"] is not None


def test_a_measure_with_a_direction_has_rows_per_order(tmp_path):
    a, b = write(tmp_path, "a", seed=1, disagree=0), write(tmp_path, "b", seed=2, width=3)
    rows = compare.subgroups([a], [b], KEYS, {"method": "linear_regression"}, "agreement", 2, 0, 0)
    agree = {(row["model"], row["model_b"]): row["value"] for row in rows if row["subgroup"] == "agree"}
    x, y = (compare.load(path, "features").features[40:] for path in (a, b))
    expected = {("a", "b"): measures.compare("linear_regression", x, y)}
    assert agree == pytest.approx(expected | {("b", "a"): measures.compare("linear_regression", y, x)})


def test_features_that_are_not_finite_are_an_error_and_no_note(tmp_path):
    features = np.zeros((120, 6))
    features[3, 2] = np.inf
    with pytest.raises(ValueError, match=r"b on natural images \(.*b\.parquet\): 1 of 720 features are NaN, infinite"):
        subgroup_rows(tmp_path, CKA, features=features)
