"""Depth: sums over the pixels of an image, scores from them as the field defines them, and what an attack raises."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from mettle.data import Store, write
from mettle.data.item import Item, Targets, png
from mettle.data.targets import Expected
from mettle.tables import ANSWERS, ATTACKED, DENSE_MANIFEST
from mettle.tasks import scores
from mettle.tasks.depth import DEPTH
from mettle.tasks.known import TASKS
from mettle.tasks.scores import SCORES

SCORE = SCORES["depth"]
ERRORS = ["abs_rel", "rmse", "sq_rel", "rmse_log", "log10", "silog"]


def maps(n=5, size=(6, 7), seed=0, missing=0.3):
    """Predicted and true depths in metres, and of the true ones some that do not count."""
    drawn = torch.Generator().manual_seed(seed)
    true = 0.5 + 9 * torch.rand(n, *size, generator=drawn)
    found = true * (0.4 * torch.randn(n, *size, generator=drawn)).exp()
    return found, torch.where(torch.rand(n, *size, generator=drawn) < missing, 0, true)


def frame(found, true):
    return scores.frame({key: value.numpy() for key, value in DEPTH.answers(found, true).items()})


def values(found, true):
    answers = frame(found, true)
    return {measure: score.value(answers) for measure, score in SCORE.items()}


def by_the_book(found, true):
    """All scores of one image, pixel by pixel."""
    pairs = [(p, d) for p, d in zip(found.flatten().tolist(), true.flatten().tolist(), strict=True) if d > 0]
    mean = lambda of: sum(of(p, d) for p, d in pairs) / len(pairs)  # noqa: E731
    logs = [math.log(p) - math.log(d) for p, d in pairs]
    centre = sum(logs) / len(logs)
    found = {
        "abs_rel": mean(lambda p, d: abs(p - d) / d),
        "rmse": math.sqrt(mean(lambda p, d: (p - d) ** 2)),
        "sq_rel": mean(lambda p, d: (p - d) ** 2 / d),
        "rmse_log": math.sqrt(mean(lambda p, d: (math.log(p) - math.log(d)) ** 2)),
        "log10": mean(lambda p, d: abs(math.log10(p) - math.log10(d))),
        "silog": math.sqrt(sum((one - centre) ** 2 for one in logs) / len(logs)),
    }
    near = {f"a{power}": mean(lambda p, d, power=power: max(p / d, d / p) < 1.25**power) for power in (1, 2, 3)}
    return found | near


def test_it_is_a_task_like_any_other():
    assert TASKS["depth"] is DEPTH and DEPTH.native and not DEPTH.logits and not DEPTH.aims
    assert DEPTH.score is scores.main("depth") is SCORE["abs_rel"]
    assert list(DEPTH.answers(*maps())) == list(ANSWERS["depth"])
    assert [measure for measure, score in SCORE.items() if score.error] == ERRORS
    assert scores.share("depth").measure == "a1" and scores.share("segmentation").measure == "miou"


def test_answers_by_hand():
    found, true = torch.tensor([[[2.0, 3.0, 9.0]]]), torch.tensor([[[1.0, 4.0, 0.0]]])
    expected = {
        "valid": 2,
        "squared_error": 2,
        "relative_error": 1 + 1 / 4,
        "relative_squared_error": 1 + 1 / 4,
        "log_difference": math.log(2) + math.log(3 / 4),
        "squared_log_difference": math.log(2) ** 2 + math.log(3 / 4) ** 2,
        "log10_error": math.log10(2) + math.log10(4 / 3),
        "within_1": 0,
        "within_2": 1,
        "within_3": 1,
    }
    assert {key: value.item() for key, value in DEPTH.answers(found, true).items()} == pytest.approx(expected)


def test_ratios_at_the_limit_are_outside():
    found, true = torch.tensor([[[1.25, 1.0, 1.5625]]]), torch.tensor([[[1.0, 1.25, 1.0]]])
    answers = DEPTH.answers(found, true)
    assert [answers[f"within_{power}"].item() for power in (1, 2, 3)] == [0, 2, 3]


def test_scores_are_means_over_images_of_what_the_field_defines():
    found, true = maps()
    each = pd.DataFrame([by_the_book(*pair) for pair in zip(found, true, strict=True)])
    assert values(found, true) == pytest.approx(each.mean().to_dict(), rel=1e-6)


def test_scores_are_those_of_the_monocular_depth_estimation_toolbox():
    """Recorded from depth/core/evaluation/metrics.py of zhyever/Monocular-Depth-Estimation-Toolbox at d8aff50."""
    rng = np.random.default_rng(7)
    true = rng.uniform(0.5, 11, (3, 6, 8))
    found = torch.from_numpy(true * np.exp(0.3 * rng.standard_normal(true.shape)))
    recorded = {
        **{"abs_rel": 0.21335365629698178, "rmse": 1.7577742466577684, "sq_rel": 0.44854022720316405},
        **{"rmse_log": 0.2801438954238729, "log10": 0.09496337003204197, "silog": 27.595281824531877 / 100},
        **{"a1": 0.564935064935065, "a2": 0.9004088504088504, "a3": 0.9920634920634921},
    }
    assert values(found, torch.from_numpy(np.where(true < 10, true, 0))) == pytest.approx(recorded, rel=1e-12)


def test_a_right_prediction_has_no_error():
    _, true = maps()
    found = values(torch.where(true > 0, true, 3), true)
    assert found == dict.fromkeys(ERRORS, 0) | {"a1": 1, "a2": 1, "a3": 1}


def test_bounds_and_order():
    found = values(*maps(seed=3))
    assert 0 <= found["a1"] <= found["a2"] <= found["a3"] <= 1
    assert 0 <= found["silog"] <= found["rmse_log"] and found["log10"] * math.log(10) <= found["rmse_log"]


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_depths_that_are_all_too_large_by_one_factor(factor):
    found, true = maps()
    before, after = values(found, true), values(found * factor, true)
    assert after["silog"] == pytest.approx(before["silog"], rel=1e-5) and after["abs_rel"] != before["abs_rel"]
    exact = values(torch.where(true > 0, true, 3) * factor, true)
    assert exact["silog"] == pytest.approx(0, abs=1e-7)
    assert exact["abs_rel"] == pytest.approx(abs(factor - 1)) and exact["log10"] == pytest.approx(
        abs(math.log10(factor))
    )


def test_scores_without_a_unit_do_not_depend_on_it():
    found, true = maps()
    metres, feet = values(found, true), values(found / 0.3048, true / 0.3048)
    for measure in SCORE:
        factor = 1 / 0.3048 if measure in ("rmse", "sq_rel") else 1
        assert feet[measure] == pytest.approx(metres[measure] * factor, rel=1e-5)


def test_too_far_counts_as_too_near_in_logarithms():
    found, true = maps()
    mirrored = torch.where(true > 0, true**2 / found, 1)
    first, second = values(found, true), values(mirrored, true)
    for measure in ("rmse_log", "log10", "silog", "a1", "a2", "a3"):
        assert second[measure] == pytest.approx(first[measure], rel=1e-4)


def test_pixels_that_do_not_count_change_nothing():
    found, true = maps()
    other = torch.where(true > 0, found, 1000.0)
    first, second = DEPTH.answers(found, true), DEPTH.answers(other, true)
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("measure", SCORE)
def test_an_image_counts_as_often_as_its_weight_says(measure):
    answers = frame(*maps(4))
    weights = np.array([[2, 0, 1, 1], [0, 3, 0, 1], [4, 0, 0, 0]], dtype=np.float32)
    copies = [SCORE[measure].value(answers.loc[np.repeat(np.arange(4), row.astype(int))]) for row in weights]
    np.testing.assert_allclose(SCORE[measure].of(answers, weights), copies)


def test_images_without_a_pixel_are_left_out_and_with_none_a_score_is_undefined():
    found, true = maps(2)
    true[1] = 0
    assert values(found, true) == pytest.approx(values(found[:1], true[:1]))
    assert all(np.isnan(value) for value in values(found, 0 * true).values())


# Targets


def stored(folder, depth, size=(4, 6), bounds=(1.0, 3.0), crop=None, n=2):
    image = png(np.zeros((*size, 3), np.uint8))
    targets = Targets(depth=np.asarray(depth, np.uint16))
    items = [Item(image, None, "", f"made {k}", targets=targets) for k in range(n)]
    expected = Expected(("depth",), depth_range=bounds, depth_crop=crop)
    write(folder / "a.lmdb", folder / "a.parquet", items, table=DENSE_MANIFEST, expected=expected)
    return Store(folder / "a.lmdb")


DISTANCES = np.array([[0, 999, 1000, 2000, 3000, 3001]] * 4)  # millimetres


@pytest.mark.parametrize(("bounds", "known"), [((1.0, 3.0), [0, 0, 1, 2, 3, 0]), (None, [0, 0.999, 1, 2, 3, 3.001])])
def test_targets_are_the_distances_in_range_both_ends_included(tmp_path, bounds, known):
    found = DEPTH.targets(stored(tmp_path, DISTANCES, bounds=bounds), np.array([1, 0]))
    assert found.dtype == torch.float32 and found.shape == (2, 4, 6)
    assert torch.equal(found, torch.tensor(known).expand(2, 4, 6))


def test_of_a_crop_the_inside_counts(tmp_path):
    found = DEPTH.targets(stored(tmp_path, DISTANCES, crop=(1, 3, 2, 4)), np.array([0]))
    expected = torch.zeros(1, 4, 6)
    expected[:, 1:3, 2:4] = torch.tensor([1.0, 2.0])
    assert torch.equal(found, expected)


def test_a_crop_that_is_larger_than_the_map_is_named(tmp_path):
    store = stored(tmp_path, DISTANCES, crop=(0, 5, 0, 6))
    message = (
        r"a.targets.lmdb, image 0: depth_crop ends at row 5 and column 6, but the depth map has 4 rows and 6 columns"
    )
    with pytest.raises(ValueError, match=message):
        DEPTH.targets(store, np.array([0]))


def test_predictions_and_targets_that_do_not_fit_are_refused():
    found, true = maps()
    DEPTH.check(found, true, range(10, 15))
    with pytest.raises(ValueError, match=r"^predicted depths are of \(6, 7\) pixels, depth maps of \(6, 6\)$"):
        DEPTH.check(found, true[..., :6], range(10, 15))
    for value in (0.0, -1.0, torch.nan, torch.inf):
        wrong = found.clone()
        wrong[3, 0, 0] = value
        with pytest.raises(ValueError, match=r"^image 13: predicted depths are not all positive and finite: have the"):
            DEPTH.check(wrong, true, range(10, 15))
    true[[1, 2]] = 0
    with pytest.raises(ValueError, match=r"^images 11, 12: no pixel of the depth map counts: leave the image out, or"):
        DEPTH.check(found, true, range(10, 15))


# Attacks


def test_an_attack_raises_the_mean_log_error_of_the_pixels_that_count():
    found, true = maps()
    goal = DEPTH.goal(true)
    assert goal.success is None and goal.labels is None
    answers = DEPTH.answers(found, true)
    expected = answers["log10_error"] * math.log(10) / answers["valid"]
    torch.testing.assert_close(
        goal.objective(found[1:3], torch.tensor([1, 2])).double(), expected[1:3], rtol=1e-5, atol=0
    )


def test_its_gradient_is_that_of_finite_differences():
    found, true = (one.double() for one in maps(3))
    goal, index = DEPTH.goal(true), torch.arange(3)
    depths = found.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(goal.objective(depths, index).sum(), depths)
    step = torch.randn(found.shape, generator=torch.Generator().manual_seed(4)).double()
    ahead, behind = (goal.objective(found + sign * 1e-7 * step, index).sum() for sign in (1, -1))
    assert (gradient * step).sum().item() == pytest.approx(((ahead - behind) / 2e-7).item(), rel=1e-6)
    assert (gradient[true == 0] == 0).all() and (gradient[true > 0] != 0).all()


def test_pixels_without_a_target_leave_no_nan_in_the_gradient():
    depths = torch.tensor([[[-1.0, 2.0]]], requires_grad=True)
    goal = DEPTH.goal(torch.tensor([[[0.0, 1.0]]]))
    (gradient,) = torch.autograd.grad(goal.objective(depths, torch.tensor([0])).sum(), depths)
    assert gradient.tolist() == [[[0.0, 0.5]]]


def test_the_table_of_attacked_images_has_the_answers_twice_but_for_those_of_the_targets():
    columns = set(ATTACKED["depth"].columns)
    assert {"valid", "clean_squared_error", "squared_error", "clean_within_3", "distance"} <= columns
    assert "clean_valid" not in columns
    found, true = maps()
    rows = DEPTH.attacked(torch.where(true > 0, true, 3), found, true)
    assert set(rows) == {name for name in columns if name.removeprefix("clean_") in ANSWERS["depth"]}
    assert (rows["clean_squared_error"] == 0).all() and (rows["squared_error"] > 0).all()
    answers = scores.frame({key: value.numpy() for key, value in rows.items()})
    assert DEPTH.score.value(scores.clean(answers)) == 0 < DEPTH.score.value(answers)
