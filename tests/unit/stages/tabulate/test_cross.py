"""Properties of models and their rank correlations, and the drawings of both."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from scipy import stats

from mettle import tables
from mettle.plan.figures import FIGURES
from mettle.stages import plot
from mettle.stages.tabulate import cross

MODELS = [f"m{k}" for k in range(6)]
OPTIONS = {
    "dataset": "d",
    "attack": "pgd",
    "seed": 0,
    "labels": {name: name.upper() for name in MODELS},
    "trained": {name: {"norm": None if k % 2 else "l2", "eps": 0.0 if k % 2 else 0.5} for k, name in enumerate(MODELS)},
    "on": {"t1": {"base": "m1", "mode": "full", "dataset": "lanes"}},
}


def answers(model, clean, robust, n=20):
    """Rows of the attack table with so many right answers."""
    rows = pd.DataFrame({"id": range(n), "label": 0})
    rows["clean_prediction"], rows["prediction"] = (rows["id"] >= clean) * 1, (rows["id"] >= robust) * 1
    keys = {"dataset": "d", "split": "test", "model": model, "attack": "pgd", "norm": "l2", "eps": 0.5}
    return rows.assign(**keys, **dict.fromkeys(tables.FLAGS, False), note=None)


def under_corruptions(model, value, **more):
    row = {"dataset": "d", "split": "test", "model": model, "task": "classification", "corruption": "mean"}
    row |= {"severity": np.nan, "measure": "accuracy", "statistic": "mpc", "n": 20, "lo": 0.1, "hi": 0.9, "note": None}
    return pd.DataFrame([row | {"value": value} | more])


def pairs(values, method="cka", images="natural"):
    rows = [{"model": a, "model_b": b, "value": value} for (a, b), value in values.items()]
    return pd.DataFrame(rows).assign(dataset="d", images=images, measure=method, method=method)


def cells(*more):
    """Clean falls along the models, robust rises, and corruptions follow robust."""
    found = [answers(name, 18 - k, 2 * k) for k, name in enumerate(MODELS)]
    found += [under_corruptions(name, k / 10) for k, name in enumerate(MODELS)]
    return pd.concat([*found, *more], ignore_index=True)


def profile(*more):
    return pd.DataFrame(cross.profile(cells(*more), OPTIONS, []))


def between(rows, first, second):
    return rows[(rows["measure"] == first) & (rows["measure_b"] == second)].iloc[0]


def test_the_frontier_has_three_numbers_per_model_and_how_it_was_trained():
    rows = pd.DataFrame(cross.frontier(cells(), OPTIONS, []))
    one = rows[rows["model"] == "m2"].set_index("measure")["value"]
    assert dict(one) == {"clean accuracy": 0.8, "robust accuracy": 0.2, "accuracy under corruptions": 0.2}
    assert set(rows[rows["model"] == "m2"]["norm"]) == {"l2"} and set(rows["label"]) == set(OPTIONS["labels"].values())


def test_correlations_are_spearmans_over_the_models_that_have_both():
    rows = profile()
    found = between(rows, "clean accuracy", "robust accuracy")
    assert found["value"] == pytest.approx(-1) and found["n"] == 6 and found["lo"] <= found["value"] <= found["hi"]
    assert between(rows, "robust accuracy", "accuracy under corruptions")["value"] == pytest.approx(1)
    assert set(rows[rows["model"] == "all"]["label"]) == {None}


def test_a_correlation_is_that_of_scipy_with_ties():
    rng = np.random.default_rng(0)
    for _ in range(20):
        two = rng.integers(0, 4, (9, 2)).astype(float)
        expected = stats.spearmanr(two).statistic
        found = cross.correlation(two, 0)
        if np.isnan(expected):
            assert found["value"] is None
        else:
            assert found["value"] == pytest.approx(expected) and found["lo"] <= found["value"] + 1e-9


def test_intervals_hold_the_true_value_about_as_often_as_they_say():
    rng, held = np.random.default_rng(1), 0
    for seed in range(100):
        first = rng.standard_normal(40)
        found = cross.correlation(np.stack([first, 0.6 * first + 0.8 * rng.standard_normal(40)], 1), seed)
        held += found["lo"] <= 6 / np.pi * np.arcsin(0.3) <= found["hi"]
    assert 85 <= held <= 100


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([[1, 2], [2, 3]], "2 models have both: a rank correlation needs 3"),
        ([[1, 2], [2, 2], [3, 2]], "all models have the same value of one of them"),
    ],
)
def test_what_is_undefined_says_why(pairs, said):
    found = cross.correlation(np.array(pairs, float), 0)
    assert (found["value"], found["note"], found["n"]) == (None, said, len(pairs))


def test_three_models_have_no_interval():
    found = cross.correlation(np.array([[1, 2], [2, 3], [3, 1.0]]), 0)
    assert found["value"] == pytest.approx(-0.5) and found["lo"] is None and "too few" in found["note"]


def test_similarity_is_the_mean_over_the_others_turned_to_more_alike():
    values = {("m1", "m0"): 0.2, ("m2", "m0"): 0.4, ("m2", "m1"): 0.6}
    rows = profile(pairs(values), pairs(values, "procrustes", "inverted-m0"))
    words = "mean similarity, cka, natural images"
    one = rows[(rows["measure"] == words) & rows["measure_b"].isna()].set_index("model")
    assert dict(one["value"]) == pytest.approx({"m0": 0.3, "m1": 0.4, "m2": 0.5}) and set(one["n"]) == {2}
    turned = rows[(rows["measure"] == "mean similarity, procrustes, inverted images") & (rows["model"] == "m0")]
    assert turned["value"].item() == pytest.approx(1 - 0.3 / 2)
    assert between(rows, "clean accuracy", words)["n"] == 3


def test_transfer_is_the_clean_score_of_what_stands_on_a_model():
    told = {"corruption": "clean", "severity": 0, "statistic": "score", "task": "segmentation", "dataset": "lanes"}
    rows = profile(
        under_corruptions("t1", 0.625, **told, measure="miou"), under_corruptions("t1", 0.9, **told, measure="pixel")
    )
    one = rows[rows["measure"] == "transfer to lanes, full"]
    assert one[one["measure_b"].isna()][["model", "value"]].to_numpy().tolist() == [["m1", 0.625]]


def test_doubts_about_a_property_go_into_its_correlations():
    doubted = answers("m0", 18, 0).assign(gradient_zero=True)
    rest = [answers(name, 18 - k, 2 * k) for k, name in enumerate(MODELS) if k]
    rows = pd.DataFrame(cross.profile(pd.concat([doubted, *rest]), OPTIONS, []))
    assert "zero gradient" in between(rows, "clean accuracy", "robust accuracy")["note"]


@pytest.mark.parametrize("name", ["frontier", "profile"])
def test_both_are_drawn_with_every_number_and_doubts_below(name, tmp_path):
    doubted = cells().assign(note=None)
    doubted.loc[doubted["model"] == "m0", "gradient_zero"] = True
    for given, marked in ((cells(), False), (doubted, True)):
        rows = getattr(cross, name)(given, OPTIONS, [])
        tables.write(tmp_path / "t.parquet", FIGURES[name].table, rows, {})
        figure = plot.drawing_of(name)(tables.read(tmp_path / "t.parquet", FIGURES[name].table))
        texts = [text.get_text() for text in figure.findobj(pyplot.Text)]
        assert any(text.startswith("† M0") for text in texts) == marked
        named = {"frontier": OPTIONS["labels"].values(), "profile": ["clean accuracy", "accuracy under corruptions"]}
        assert all(any(text.startswith(label) for text in texts) for label in named[name])
        if name == "profile":
            assert any(text.startswith("-1.00") and text.endswith("n = 6") for text in texts)
        pyplot.close(figure)
