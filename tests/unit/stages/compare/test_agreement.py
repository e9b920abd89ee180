"""Functional similarity of represent files."""

import numpy as np
import pytest

from mettle import tables
from mettle.measures import functional
from mettle.stages import compare
from representations import write

KEYS = {"dataset": "d", "norm": None, "eps": 0.0}


def test_rows_hold_every_measure_and_the_bounds_and_fit_the_table(tmp_path):
    a, b = write(tmp_path, "a", disagree=12, seed=1), write(tmp_path, "b", disagree=30, seed=2)
    rows = compare.agreements([a], [b], KEYS)
    tables.write(tmp_path / "out.parquet", tables.AGREE, rows)
    by = {row["measure"]: row for row in rows}
    assert list(by) == [*functional.FUNCTIONAL, "agreement_upper", "agreement_lower"]
    assert by["disagreement"]["value"] == 18 / 120
    assert by["disagreement"]["lo"] < 18 / 120 < by["disagreement"]["hi"]
    upper, lower = functional.bounds(0.9, 0.75, 4)
    assert (by["agreement_upper"]["value"], by["agreement_lower"]["value"]) == pytest.approx((upper, lower))


def test_inverted_images_have_no_bounds(tmp_path):
    a, b = (write(tmp_path, name, images="inverted-a") for name in "ab")
    rows = compare.agreements([a], [b], KEYS)
    assert [row["measure"] for row in rows] == list(functional.FUNCTIONAL)
    assert {row["images"] for row in rows} == {"inverted-a"}


def test_undefined_is_null_with_a_reason(tmp_path):
    a, b = (write(tmp_path, name, disagree=0) for name in "ab")
    row = next(row for row in compare.agreements([a], [b], KEYS) if row["measure"] == "normalised_disagreement")
    assert row["value"] is None and row["note"].startswith("undefined")


def test_a_class_without_a_logit_is_refused(tmp_path):
    a, b = write(tmp_path, "a"), write(tmp_path, "b", prediction=np.full(120, 7))
    with pytest.raises(ValueError, match=r"b on natural images \(.*b\.parquet\): b predicts class 7 of 4 classes$"):
        compare.agreements([a], [b], KEYS)


def test_logits_that_are_not_finite_are_refused(tmp_path):
    a, b = write(tmp_path, "a"), write(tmp_path, "b", logits=np.full((120, 4), np.nan))
    message = r"a on natural .* and b on natural images .*: some logits of b are not finite"
    with pytest.raises(ValueError, match=message):
        compare.agreements([a], [b], KEYS)
