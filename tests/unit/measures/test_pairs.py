"""Tables of all pairs, and what unrelated models score."""

import numpy as np
import pytest

from mettle import measures
from mettle.measures import MEASURES

CHEAP = [name for name in MEASURES if "points" not in MEASURES[name].options or name == "rsa"]


def models(n=80, widths=(4, 9, 30)):
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(n, 4))
    return {f"net{d}": shared @ rng.normal(size=(4, d)) + rng.normal(size=(n, d)) for d in widths}


@pytest.mark.parametrize("name", CHEAP)
def test_pairwise_is_compare_of_every_pair(name):
    features = models()
    names, scores = measures.pairwise(name, features)
    assert names == list(features)
    for i, x in enumerate(features.values()):
        for j, y in enumerate(features.values()):
            expected = MEASURES[name].scale.self_value if i == j else measures.compare(name, x, y)
            assert scores[i, j] == pytest.approx(expected, abs=1e-10), (names[i], names[j])


def test_pairwise_takes_options_and_prepares_each_model_once(monkeypatch):
    features, prepared = models(), []
    measure = MEASURES["jaccard"]
    monkeypatch.setitem(
        measures.MEASURES,
        "jaccard",
        measure.__class__(**vars(measure) | {"prepare": lambda x, **o: prepared.append(o) or measure.prepare(x, **o)}),
    )
    measures.pairwise("jaccard", features, k=3)
    assert prepared == [{"k": 3}] * 3


def test_pairwise_names_the_model():
    features = models()
    with pytest.raises(ValueError, match=r"^both representations need the same images, got 80 and 79$"):
        measures.pairwise("cka", features | {"short": features["net4"][1:]})
    with pytest.raises(ValueError, match=r"^bad: 1 of 320 features are NaN"):
        measures.pairwise("cka", features | {"bad": np.where(np.arange(320).reshape(80, 4) == 7, np.nan, 1)})
    with pytest.raises(ValueError, match=r"^jaccard of net4: at least 82 images are needed, got 80$"):
        measures.pairwise("jaccard", features, k=80)
    assert measures.pairwise("cka", {})[1].shape == (0, 0)


def test_floor_is_what_independent_features_score():
    assert measures.floor("cka", 500, 2000, 2000, 0) == pytest.approx(0, abs=0.01)
    assert measures.floor("cka_biased", 500, 2000, 2000, 0) == pytest.approx(0.80, abs=0.01)
    assert measures.floor("jaccard", 500, 50, 50, 0) == pytest.approx(0.011, abs=0.004)
    assert measures.floor("jaccard", 500, 50, 50, 0, k=100) == pytest.approx(0.11, abs=0.02)
    first = measures.floor("procrustes", 50, 10, 20, 1)
    assert measures.floor("procrustes", 50, 10, 20, 1) == first
    assert measures.floor("procrustes", 50, 10, 20, 2) != first


def test_baseline_permutes_the_second_model():
    x, y = list(models().values())[:2]
    order = np.random.default_rng(5).permutation(80)
    assert measures.baseline("cka", x, y, 5) == pytest.approx(measures.compare("cka", x, y[order]), abs=1e-12)
    assert measures.compare("cka", x, y) > 0.2 > abs(measures.baseline("cka", x, y, 5, draws=20)) * 10


def test_baseline_is_the_mean_over_draws():
    x, y = list(models().values())[:2]
    rng = np.random.default_rng(5)
    each = [measures.compare("jaccard", x, rng.permutation(y), k=5) for _ in range(3)]
    assert measures.baseline("jaccard", x, y, 5, draws=3, k=5) == pytest.approx(np.mean(each), abs=1e-15)


@pytest.mark.parametrize(
    ("draws", "rows", "message"),
    [
        (0, slice(None), "draws must be a whole number of at least 1, got 0"),
        (1, slice(1, None), "both representations need the same images, got 80 and 79"),
    ],
)
def test_baseline_without_meaning(draws, rows, message):
    x = models()["net4"]
    with pytest.raises(ValueError, match=f"^{message}$"):
        measures.baseline("cka", x, x[rows], 0, draws=draws)
