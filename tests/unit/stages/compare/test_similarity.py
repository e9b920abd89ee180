"""Scores of pairs, beside what permuted images and independent data give."""

from copy import deepcopy

import numpy as np
import pytest

from mettle import measures, tables
from mettle.seeds import derive
from mettle.stages import compare
from representations import write

KEYS = {"dataset": "d", "measure": "cka", "norm": None, "eps": 0.0}
CKA = {"method": "cka"}


def run(first, second, options=CKA, permutations=0, floor=False, seed=0, level=None):
    return compare.similarities(first, second, KEYS, options, permutations, floor, seed, level=level)


def test_similarities_equal_the_measure_and_fit_the_table(tmp_path):
    a, b, c = (write(tmp_path, name, seed=i) for i, name in enumerate("abc"))
    rows = run([a, a], [b, c])
    tables.write(tmp_path / "out.parquet", tables.COMPARE, rows)
    assert [(row["model"], row["model_b"], row["n"]) for row in rows] == [("a", "b", 120), ("a", "c", 120)]
    expected = measures.compare("cka", compare.load(a, "features").features, compare.load(c, "features").features)
    assert rows[1]["value"] == pytest.approx(expected, abs=1e-12)
    assert rows[1]["baseline"] is None and rows[1]["floor"] is None


def test_a_model_without_models_above_it_has_an_empty_cell(tmp_path):
    tables.write(tmp_path / "out.parquet", tables.COMPARE, run([], []))
    assert len(tables.read(tmp_path / "out.parquet", tables.COMPARE)) == 0


def test_scores_on_inverted_images_name_the_source_in_images(tmp_path):
    own = [write(tmp_path, name, images=f"inverted-{name}", seed=1) for name in "ab"]
    other = [write(tmp_path, name, images=f"inverted-{source}", seed=2) for name, source in (("b", "a"), ("a", "b"))]
    rows = run(own, other)
    assert [(row["images"], row["model"], row["model_b"]) for row in rows] == [
        ("inverted-a", "a", "b"),
        ("inverted-b", "b", "a"),
    ]


def test_the_baseline_is_near_chance_and_the_mean_over_permutations(tmp_path):
    a, b = write(tmp_path, "a", n=400, seed=1), write(tmp_path, "b", n=400, seed=2)
    (one,), (two,) = run([a], [b], permutations=1), run([a], [b], permutations=2)
    assert one["value"] > 0.5 and abs(one["baseline"]) < 0.1
    assert two["baseline"] != one["baseline"] and run([a], [b], permutations=2)[0] == two
    assert run([a], [b], permutations=1, seed=1)[0]["baseline"] != one["baseline"]


def test_scores_are_calibrated_against_permuted_images(tmp_path):
    a, b = write(tmp_path, "a", seed=1), write(tmp_path, "b", seed=2)
    unrelated = write(tmp_path, "c", features=np.random.default_rng(5).normal(size=(120, 6)))
    alike, other = run([a, a], [b, unrelated], permutations=39, level=0.05)
    assert alike["p"] == 1 / 40 and 0.5 < alike["calibrated"] < alike["value"] + 0.01
    assert other["p"] > 0.05 and other["calibrated"] == 0
    assert run([a, a], [b, unrelated], permutations=39, level=0.05) == [alike, other]
    tables.write(tmp_path / "out.parquet", tables.COMPARE, [alike, other])
    plain = run([a], [b], permutations=39)[0]
    assert plain == alike | {"p": None, "calibrated": None}


def test_permutations_are_those_of_the_features(tmp_path):
    """Cheaper than preparing permuted features, and the same."""
    a, b = write(tmp_path, "a", seed=1), write(tmp_path, "b", seed=2)
    x, y = (compare.load(path, "features").features for path in (a, b))
    orders = [np.random.default_rng(derive(3, "permute", "natural", "a", "b", number)) for number in range(4)]
    for method in ("cka", "jaccard", "rtd"):
        own = {"rtd": {"points": 20, "trials": 1}}.get(method, {})
        expected = np.mean([measures.compare(method, x, rng.permutation(y), **own) for rng in map(deepcopy, orders)])
        (row,) = run([a], [b], {"method": method} | own, permutations=4, seed=3)
        assert row["baseline"] == pytest.approx(expected, rel=1e-6)


def test_a_measure_that_no_order_changes_is_not_calibrated(tmp_path):
    a, b = write(tmp_path, "a", seed=1), write(tmp_path, "b", seed=2)
    (row,) = run([a], [b], {"method": "magnitude"}, permutations=19, level=0.05)
    assert row["p"] is None and row["calibrated"] is None
    assert row["baseline"] == pytest.approx(row["value"])


def test_both_orders_of_a_directed_measure_are_calibrated(tmp_path):
    a = write(tmp_path, "a", seed=1)
    b = write(tmp_path, "b", features=compare.load(a, "features").features[:, :3])
    rows = run([a], [b], {"method": "linear_regression"}, permutations=19, level=0.05)
    assert [row["p"] for row in rows] == [0.05, 0.05] and rows[0]["calibrated"] != rows[1]["calibrated"]


def test_the_floor_is_the_score_of_independent_features_of_the_same_sizes(tmp_path):
    a, b = write(tmp_path, "a", width=100), write(tmp_path, "b", width=60)
    (row,) = run([a], [b], {"method": "procrustes"}, floor=True)
    rng = np.random.default_rng(7)
    independent = measures.compare("procrustes", rng.normal(size=(120, 100)), rng.normal(size=(120, 60)))
    assert row["floor"] == pytest.approx(independent, abs=0.05) and row["floor"] < 1.5


def test_options_of_a_measure_may_be_called_as_arguments_of_ours(tmp_path):
    a, b = write(tmp_path, "a"), write(tmp_path, "b", seed=1)
    options = {"method": "rtd", "points": 20, "trials": 1, "seed": 3, "engine": "auto"}
    (row,) = run([a], [b], options, permutations=1, floor=True)
    assert row["baseline"] > row["value"] and row["floor"] > row["value"]


def test_a_measure_with_a_direction_has_a_row_per_order_on_natural_images(tmp_path):
    name = next(name for name, measure in measures.MEASURES.items() if not measure.symmetric)
    options = {"method": name} | dict(measures.get(name).options)
    a, b = write(tmp_path, "a", seed=1), write(tmp_path, "b", seed=2, width=3)
    rows = run([a], [b], options, permutations=1)
    assert [(row["model"], row["model_b"]) for row in rows] == [("a", "b"), ("b", "a")]
    own = {key: value for key, value in options.items() if key != "method"}
    x, y = (compare.load(path, "features").features for path in (a, b))
    assert [row["value"] for row in rows] == pytest.approx(
        [measures.compare(name, x, y, **own), measures.compare(name, y, x, **own)]
    )
    assert rows[0]["baseline"] != rows[1]["baseline"]
    inverted = write(tmp_path, "a", images="inverted-a"), write(tmp_path, "b", images="inverted-a", width=3)
    assert len(run([inverted[0]], [inverted[1]], options)) == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"features": np.ones((120, 6))}, r"b on natural images \(.*b\.parquet\): features are constant"),
        ({"features": np.full((120, 6), np.nan)}, r"b on natural images \(.*b\.parquet\): 720 of 720 features are NaN"),
        ({"features": np.full((120, 6), np.inf)}, r"b on natural images \(.*b\.parquet\): 720 of 720 features are NaN"),
    ],
)
def test_unfit_features_are_refused_by_model_images_and_file(tmp_path, columns, message):
    a, b = write(tmp_path, "a"), write(tmp_path, "b", **columns)
    with pytest.raises(ValueError, match=message):
        run([a], [b])


def test_fewer_images_than_k_are_refused(tmp_path):
    a, b = write(tmp_path, "a"), write(tmp_path, "b", seed=1)
    with pytest.raises(
        ValueError, match=r"jaccard of a on natural images \(.*\): at least 202 images are needed, got 120"
    ):
        run([a], [b], {"method": "jaccard", "k": 200})


def test_a_pair_without_a_score_is_named(tmp_path):
    a, b = write(tmp_path, "a", n=10, width=6), write(tmp_path, "b", n=10, width=6, seed=1)
    message = r"^svcca of a on natural images \(.*\) and b on natural images \(.*\): \d and \d components of 10 images"
    with pytest.raises(ValueError, match=message):
        run([a], [b], {"method": "svcca"})


def test_a_floor_that_is_refused_is_null_with_a_reason(tmp_path):
    few = np.random.default_rng(0).normal(size=(20, 2))
    features = {"features": few @ np.random.default_rng(1).normal(size=(2, 40))}
    a, b = (write(tmp_path, name, n=20, **features) for name in "ab")
    (row,) = run([a], [b], {"method": "svcca"}, floor=True)
    assert row["value"] == pytest.approx(1) and row["floor"] is None
    assert row["note"].startswith("no floor: 18 and 18 components of 20 images always share a direction")


def test_one_image_is_refused(tmp_path):
    a, b = write(tmp_path, "a", n=1), write(tmp_path, "b", n=1)
    with pytest.raises(ValueError, match=r"cka of a on natural images .*: at least 4 images are needed, got 1"):
        run([a], [b])
