"""The twelve numbers of COCO from stored rows, against pycocotools on the same detections."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import coco_cases
from coco_cases import SIZE, coco
from mettle import tables
from mettle.tasks import matching
from mettle.tasks.scores import SCORES
from mettle.tasks.scores.coco import RANGES, THRESHOLDS, in_ranges, outcome_bits, pack, ranks, unpack
from mettle.tasks.scores.score import samples

DETECTION = SCORES["detection"]
KINDS = ("box", "mask")


def rows(found, **changed):
    made = []
    for number, one in enumerate(found):
        one = replace(one, **changed)
        made.append({"id": number} | matching.row(one.labels, one.scores, one.boxes, one.masks, one.objects, SIZE))
    return pd.DataFrame(made)


def scored(answers, kind, weights=None):
    weights = np.ones((1, len(answers))) if weights is None else weights
    return np.array([score.of(answers, weights) for name, score in DETECTION.items() if name.startswith(kind)])


@pytest.fixture(scope="module")
def found():
    return coco_cases.images(0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_pycocotools(seed, kind):
    made = coco_cases.images(seed)
    theirs = coco(made, kind)
    assert len(set(theirs)) == 12 and (theirs > 0.03).all()  # a case that tells nothing apart would pass anything
    np.testing.assert_allclose(scored(rows(made), kind)[:, 0], theirs, rtol=0, atol=1e-9)


def distinct(found, seed=0):
    """Scores that differ within an image, and are equal across images."""
    rng = np.random.default_rng(seed)
    levels = [rng.permutation(len(one.scores)) for one in found]
    return [replace(one, scores=(own / 40 + 0.1).astype(np.float32)) for one, own in zip(found, levels, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_is_how_often_an_image_is_there(found, kind):
    found = distinct(found)
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 4, (3, len(found)))
    theirs = [coco([one for one, times in zip(found, row, strict=True) for _ in range(times)], kind) for row in counts]
    np.testing.assert_allclose(scored(rows(found), kind, counts), np.transpose(theirs), rtol=0, atol=1e-9)


def test_samples_in_parts_score_as_samples_one_by_one(found, monkeypatch):
    answers = rows(found)
    weights = samples(len(found), 20, np.random.default_rng(0))
    whole = scored(answers, "box", weights)
    monkeypatch.setattr("mettle.tasks.scores.detection._AT_ONCE", 300)
    np.testing.assert_array_equal(scored(answers, "box", weights), whole)
    np.testing.assert_array_equal(scored(answers, "box", weights[7:8])[:, 0], whole[:, 7])
    assert np.unique(whole[0]).size > 15


def test_rows_may_come_in_any_order(found):
    answers = rows(found)
    weights = np.random.default_rng(0).integers(0, 4, (2, len(found)))
    order = np.random.default_rng(1).permutation(len(found))
    shuffled = scored(answers.iloc[order], "mask", weights[:, order])
    np.testing.assert_array_equal(shuffled, scored(answers, "mask", weights))


def test_more_than_a_hundred_detections_of_a_class():
    many = coco_cases.images(3, number=4, classes=2, detections=240)
    np.testing.assert_allclose(scored(rows(many), "box")[:, 0], coco(many, "box"), rtol=0, atol=1e-9)
    assert max(np.bincount(labels).max() for labels in rows(many)["labels"] if len(labels)) == 100


def test_without_an_object_of_a_range_its_scores_are_undefined(found):
    small = [replace(one, objects=[o for o in one.objects if o.area < 1000]) for one in found]
    assert sum(len(one.objects) for one in small) > 10
    theirs, ours = coco(small, "box"), scored(rows(small), "box")[:, 0]
    assert (theirs == -1).sum() == 4
    np.testing.assert_allclose(np.nan_to_num(ours, nan=-1), theirs, rtol=0, atol=1e-9)
    assert np.isnan(DETECTION["box_ap"].value(rows([found[1]])))  # an image without objects
    assert DETECTION["box_ap"].value(rows([found[2]])) == 0  # one in which none was found


@pytest.mark.parametrize("changed", [{"masks": None}, {"objects": [coco_cases.Object(0, (0.0, 0.0, 9.0, 9.0), 81.0)]}])
def test_without_masks_their_scores_are_undefined(found, changed):
    answers = rows(found[3:5], **changed)
    assert (scored(answers, "box")[:3] >= 0).all() and np.isnan(scored(answers, "mask", np.ones((2, 2)))).all()


def test_an_undefined_score_comes_with_its_reason():
    reasons = {name: DETECTION[name].undefined for name in ("box_ap", "box_ar_large", "mask_ap_small")}
    assert reasons == {
        "box_ap": "no image has an object",
        "box_ar_large": "no image has an object of the range 'large' of areas",
        "mask_ap_small": "the model predicts no masks, objects of the data set have none, or no image has an object of "
        "the range 'small' of areas",
    }


def test_a_perfect_detector_scores_one_and_a_later_mistake_costs_nothing():
    one = coco_cases.Object(0, (10.0, 10.0, 50.0, 50.0), 1600.0)
    both = np.array([[10, 10, 50, 50], [90, 90, 99, 99]], np.float32)
    perfect = coco_cases.Image([one], np.zeros(2, np.int64), np.array([0.9, 0.3], np.float32), both, None)
    late = replace(perfect, scores=np.array([0.3, 0.9], np.float32))
    assert DETECTION["box_ap"].value(rows([perfect])) == pytest.approx(1)
    assert DETECTION["box_ap"].value(rows([late])) == pytest.approx(1 / 2)  # precision 1/2 at every recall
    assert [DETECTION[f"box_ar{most}"].value(rows([late])) for most in (1, 10)] == [0, 1]


def test_answers_survive_their_table(found, tmp_path):
    answers = rows(found)
    keys = {"dataset": "d", "split": "test", "model": "m", "corruption": "fog", "severity": 1}
    tables.write(tmp_path / "a.parquet", tables.CORRUPT["detection"], answers.assign(**keys))
    read = tables.read(tmp_path / "a.parquet", tables.CORRUPT["detection"])
    for kind in KINDS:
        np.testing.assert_array_equal(scored(read, kind), scored(answers, kind))


def test_a_detector_without_masks_leaves_their_cells_empty(found, tmp_path):
    keys = {"dataset": "d", "split": "test", "model": "m", "corruption": "fog", "severity": 1}
    answers = rows(found, masks=None).assign(**keys)
    tables.write(tmp_path / "a.parquet", tables.CORRUPT["detection"], answers)
    read = tables.read(tmp_path / "a.parquet", tables.CORRUPT["detection"])
    assert read["mask_hits"].map(len).max() == 0 and DETECTION["box_ap"].value(read) > 0


def test_the_measures_and_the_main_one():
    assert list(DETECTION)[:12] == [
        *("box_ap", "box_ap50", "box_ap75", "box_ap_small", "box_ap_medium", "box_ap_large"),
        *("box_ar1", "box_ar10", "box_ar100", "box_ar_small", "box_ar_medium", "box_ar_large"),
    ]
    assert list(DETECTION)[12:] == [name.replace("box", "mask") for name in list(DETECTION)[:12]]


# Bits


def test_bits_come_back_as_they_were_packed():
    flags = np.random.default_rng(0).random((40, 17)) < 0.5
    np.testing.assert_array_equal(unpack(pack(flags), range(40)), flags)
    assert pack(flags[:, :0]).shape == (0,)


def test_bits_of_outcomes_are_by_range_then_threshold():
    assert [outcome_bits(area, [0, 9]) for area in RANGES] == [[0, 9], [10, 19], [20, 29], [30, 39]]
    assert len(THRESHOLDS) == 10


def test_borders_are_in_both_ranges():
    assert in_ranges(np.array([1.0, 1024, 9216, 9217])).T.tolist() == [
        [True, True, False, False],
        [True, True, True, False],
        [True, False, True, True],
        [True, False, False, True],
    ]


def test_ranks_count_equal_values_before():
    assert ranks(np.array([3, 1, 3, 3, 1, 2])).tolist() == [0, 0, 1, 2, 1, 0]
    assert ranks(np.array([], np.int64)).tolist() == []
