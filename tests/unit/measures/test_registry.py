"""Whatever a measure claims about itself holds; each test runs for every registered measure."""

import inspect
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mettle import measures
from mettle.measures import MEASURES, base
from mettle.measures.functional import FUNCTIONAL
from mettle.scales import SCALES

SMALL = {"points": 40, "trials": 2}  # for options that make a measure slow

# They look at the span of the features, or at each unit by itself, and so at no stretch of an axis.
BLIND_TO_STRETCH = {"cca", "svcca", "pwcca", "linear_regression", "eigenspace_overlap"} | {
    f"{kind}_matching" for kind in ("soft", "hard", "semi")
}
# They compare one number per model, whichever image is which.
BLIND_TO_ROWS = {"magnitude", "concentricity", "uniformity", "imd"}

# They look at random parts of the images, which are others in another order.
NEED_FEATURES = {"rtd", "rtd_lite", "cka_minibatch"}

every = pytest.mark.parametrize("name", MEASURES)


def small(name):
    return {option: SMALL[option] for option in MEASURES[name].options if option in SMALL}


def compare(name, x, y):
    return measures.compare(name, x, y, **small(name))


def needed(name, width):
    if name == "svcca":  # of features that vary in all their dimensions
        return MEASURES["cca"].min_images(width)
    return MEASURES[name].min_images(width, **MEASURES[name].options | small(name))


def features(seed, n=60, d=8):
    """Features in a few loose clusters, away from the origin."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(5, d))[np.arange(n) % 5] + rng.normal(size=(n, d)) + 3


def rotation(d, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


CHANGES = {
    "orthogonal": lambda x: x @ rotation(x.shape[1]),
    "translation": lambda x: x + np.linspace(-5, 7, x.shape[1]),
    "isotropic scaling": lambda x: 0.013 * x,
    "invertible linear": lambda x: x @ (rotation(x.shape[1]) * np.geomspace(1, 100, x.shape[1])),
    "permutation": lambda x: x[:, np.random.default_rng(0).permutation(x.shape[1])],
}


@every
def test_record_is_complete(name):
    measure = MEASURES[name]
    assert measure.reference
    assert measure.invariances <= base.INVARIANCES


@every
def test_options_are_the_defaults_of_prepare(name):
    parameters = list(inspect.signature(MEASURES[name].prepare).parameters.values())[1:]
    free = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD}
    assert dict(MEASURES[name].options) == free


@every
@pytest.mark.parametrize("change", sorted(base.INVARIANCES))
def test_declared_invariance(name, change):
    x, y = features(0), features(1, d=5)
    expected = pytest.approx(compare(name, x, y), rel=1e-5, abs=1e-9)
    holds = compare(name, CHANGES[change](x), y) == expected and compare(name, x, CHANGES[change](y)) == expected
    assert holds == (change in MEASURES[name].invariances)


@every
def test_sees_a_stretched_axis(name):
    x = features(0)
    stretched = x * np.where(np.arange(x.shape[1]) == 0, 20, 1)
    seen = abs(compare(name, x, stretched) - MEASURES[name].scale.self_value) > 0.01
    assert seen == (name not in BLIND_TO_STRETCH)


@every
def test_self_value(name):
    for x in (features(0), features(0, n=max(40, needed(name, 90)), d=90)):
        assert compare(name, x, x) == pytest.approx(MEASURES[name].scale.self_value, abs=1e-9)


@every
@given(st.integers(0, 1000), st.integers(2, 12), st.integers(2, 12), st.integers(0, 20), st.sampled_from(["f4", "f8"]))
@settings(max_examples=8, deadline=None)
@example(887, 11, 2, 16, "f4")  # all neighbours in the same order, whose ranks summed to a little above 1
def test_claims_of_any_features(name, seed, p, q, more, dtype):
    n, measure = needed(name, max(p, q)) + more, MEASURES[name]
    x, y = (features(seed + shift, n, d).astype(dtype) for shift, d in ((0, p), (1, q)))
    for other in (y, x + 1e-3 * features(seed, n, p).astype(dtype)):
        there, back = compare(name, x, other), compare(name, other, x)
        assert measure.scale.range[0] <= there <= measure.scale.range[1]
        assert not measure.symmetric or there == pytest.approx(back, rel=1e-4, abs=1e-6)
    assert compare(name, x, x) == pytest.approx(measure.scale.self_value, abs=1e-9 if dtype == "f8" else 1e-6)


@every
def test_range(name):
    low, high = MEASURES[name].scale.range
    for seed in range(6):
        d = 3 + 20 * seed
        n = max(60, needed(name, d))
        x, y = features(seed, n, d), features(seed + 100, n, d=4)
        for other in (y, -x, x + 1e-9 * features(7, n, d)):
            assert low <= compare(name, x, other) <= high


@every
def test_direction_and_display(name):
    measure, x = MEASURES[name], features(0)
    # other images of the same kind have the same graph of neighbours but for chance; those on a line do not
    other = np.arange(len(x))[:, None] * np.ones(x.shape[1]) if name == "imd" else 4 * features(2)
    near, far = compare(name, x, x + 0.1 * features(1)), compare(name, x, other)
    assert (near > far) == measure.scale.higher_is_alike
    assert measure.scale.display(measure.scale.self_value) > measure.scale.display(near) > measure.scale.display(far)


@every
def test_symmetric(name):
    x, y = features(0), features(1, d=5)
    same = compare(name, x, y) == pytest.approx(compare(name, y, x), rel=1e-9)
    assert same == MEASURES[name].symmetric


@every
def test_rows_must_match_to_be_alike(name):
    x = features(0)
    shuffled = x[np.random.default_rng(0).permutation(len(x))]
    display = MEASURES[name].scale.display
    seen = display(compare(name, x, shuffled)) < display(compare(name, x, x)) - 0.05
    assert seen == (name not in BLIND_TO_ROWS)


@every
def test_a_permuted_state_is_that_of_permuted_features(name):
    x, y, measure = features(0), features(1, d=5), MEASURES[name]
    order = np.random.default_rng(0).permutation(len(x))
    a, b = (measures.prepare(name, z, **small(name)) for z in (x, y))
    found = measures.permuted(name, b, y, order, **small(name))
    expected = compare(name, x, y[order])
    assert measure.score(a, found) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert (expected != pytest.approx(measure.score(a, b), rel=1e-6)) == measure.scale.by_image


def test_rsa_of_all_images_is_permuted_without_features():
    x, y, measure = features(0), features(1, d=5), MEASURES["rsa"]
    order = np.random.default_rng(0).permutation(len(x))
    a, b = (measures.prepare("rsa", z) for z in (x, y))
    expected = pytest.approx(measures.compare("rsa", x, y[order]), rel=1e-9)
    assert measure.score(a, measure.permute(b, order)) == expected
    assert measure.permute(measures.prepare("rsa", x, points=40), order) is None


@every
def test_measures_that_no_order_changes_say_so(name):
    assert MEASURES[name].scale.by_image == (name not in BLIND_TO_ROWS)
    assert MEASURES[name].permute is not None or name in NEED_FEATURES | BLIND_TO_ROWS


@every
def test_order_of_the_images_does_not_matter(name):
    x, y = features(0, n=40), features(1, n=40)  # 40: every subsample holds all
    order = np.random.default_rng(0).permutation(len(x))
    assert compare(name, x[order], y[order]) == pytest.approx(compare(name, x, y), rel=1e-5)


@every
def test_compare_is_prepare_then_score(name):
    x, y = features(0), features(1)
    a, b = (measures.prepare(name, z, **small(name)) for z in (x, y))
    assert MEASURES[name].score(a, b) == compare(name, x, y)
    assert isinstance(compare(name, x, y), float)


@every
def test_features_are_left_alone_and_taken_in_any_type(name):
    x, y = np.round(features(0), 2).astype(np.float32), features(1)
    before = x.copy()
    double = compare(name, x.astype(np.float64), y)
    assert compare(name, x.tolist(), y) == double
    for other in (y, y.astype(np.float32)):
        assert compare(name, x, other) == pytest.approx(double, rel=1e-4, abs=1e-6)
    assert (x == before).all()


# Options under which measures look at something else, and so need other numbers of images.
OPTIONS = [
    *(pytest.param(name, small(name), id=name) for name in MEASURES if name != "svcca"),
    *(("jaccard", {"k": 1, "self_policy": policy}) for policy in ("exclude", "zero")),
    ("jaccard", {"k": 2, "self_policy": "include"}),
    *((name, {"k": 1}) for name in ("rank", "rank_jaccard", "mutual_knn", "cknna", "imd")),
    ("aligned_cosine", {"centre": False}),
    ("permutation_procrustes", {"normalise": True}),
    ("rsm_norm_difference", {"norm": "spectral"}),
    ("uniformity", {"sphere": False}),
    *((name, {"points": 3, "trials": 2}) for name in ("rtd", "rtd_lite")),
    ("rsa", {"points": 3}),
    ("gulp", {"ridge": 0}),
    ("shape", {"alpha": 0}),
    ("shape", {"alpha": 0.5}),
    ("cka_minibatch", {"batch": 4}),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_independent_features_are_not_equal_at_the_fewest_images(name, options):
    measure = MEASURES[name]
    n = measure.min_images(4, **measure.options | options)
    scores = []
    for seed in range(4):
        x, y = np.random.default_rng(seed).normal(size=(2, n, 4))
        scores.append(measures.compare(name, x, y, **options))
    assert any(abs(score - measure.scale.self_value) > 1e-3 for score in scores)
    assert np.ptp(scores) > 1e-6, "a score that does not depend on the features"


@pytest.mark.parametrize("name", ["cca", "svcca", "pwcca", "shape", "gulp"])
def test_whatever_looks_at_spans_refuses_those_that_exhaust_the_images(name):
    options = {"shape": {"alpha": 0}, "gulp": {"ridge": 0}}.get(name, {})
    x, y = np.random.default_rng(0).normal(size=(2, 140, 64))
    for n in (10, 60, 66, 100):
        with pytest.raises(ValueError, match=r"images"):
            measures.compare(name, x[:n], y[:n], **options)
    measure, found = MEASURES[name], measures.compare(name, x, y, **options)
    assert abs(found - measure.scale.self_value) > 0.25


@every
def test_works_at_min_images_and_not_below(name):
    if name == "svcca":  # it depends on the components that are kept, see test_cca
        return
    n = needed(name, 8)
    x, y = features(0, n=n), features(1, n=n)
    assert math.isfinite(compare(name, x, y))
    with pytest.raises(ValueError, match=f"^{name} of x: at least {n} images are needed, got {n - 1}$"):
        compare(name, x[1:], y[1:])


@every
def test_one_image(name):
    with pytest.raises(ValueError, match=rf"^{name} of x: at least \d+ images are needed, got 1$"):
        compare(name, features(0)[:1], features(1)[:1])


@every
def test_no_images_in_common(name):
    with pytest.raises(ValueError, match=r"^both representations need the same images, got 60 and 59$"):
        compare(name, features(0), features(0)[1:])


@every
def test_states_of_other_images(name):
    a, b = (measures.prepare(name, x, **small(name)) for x in (features(0), features(0)[1:]))
    with pytest.raises(ValueError, match=r"same (images|number of images)"):
        MEASURES[name].score(a, b)


@every
def test_unknown_option(name):
    known = ", ".join(MEASURES[name].options) or "none"
    with pytest.raises(ValueError, match=f"^{name} has no option 'sigma'; known: {known}$"):
        compare_with = {"sigma": 1}
        measures.compare(name, features(0), features(1), **compare_with)


@every
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x[:, 0], r"features must have shape \(images, dimensions\), got \(60,\)"),
        (lambda x: x[:, :0], r"features must have shape \(images, dimensions\), got \(60, 0\)"),
        (lambda x: x.astype(str), "features must be real numbers, got dtype <U32"),
        (lambda x: x * 1j, "features must be real numbers, got dtype complex128"),
        (lambda x: np.where(x == x[3, 3], np.nan, x), "1 of 480 features are NaN, infinite or beyond 1e"),
        (lambda x: np.where(x == x[3, 3], -np.inf, x), "1 of 480 features are NaN, infinite or beyond 1e"),
        (lambda x: x * 0 + x[0], "features are constant over images, all 60 rows are equal"),
    ],
)
def test_unfit_features(name, spoil, message):
    with pytest.raises(ValueError, match=f"^resnet: {message}"):
        measures.prepare(name, spoil(features(0)), who="resnet", **small(name))
    with pytest.raises(ValueError, match=f"^y: {message}"):
        compare(name, features(1), spoil(features(0)))


def test_unknown_measure():
    with pytest.raises(ValueError, match=f"^unknown measure 'ckaa'; known: {', '.join(MEASURES)}$"):
        measures.get("ckaa")
    assert measures.get("cka") is MEASURES["cka"]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_rows_that_differ_in_the_last_bit_are_constant(dtype):
    x = np.tile(np.array([0.1, -7, 0], dtype), (20, 1))
    x[::3] = np.nextafter(x[::3], np.array([1, 0, 0], dtype))
    with pytest.raises(ValueError, match=r"^net: features are constant over images, all 20 rows are equal up to round"):
        base.check(x, "net")
    x[5, 2] = 1e-9  # small beside the others, but not in its own unit
    assert base.check(x, "net") is x


def test_rows_of_unlike_length():
    with pytest.raises(ValueError, match=r"^net: features must have the same number of dimensions for every image$"):
        measures.prepare("cka", [[1, 2], [3]], who="net")


def test_constant_up_to_rounding():
    with pytest.raises(ValueError, match=r"^the features are constant over images up to rounding$"):
        base.unit(np.array([[1e-200], [2e-200]]))


@pytest.mark.parametrize(("value", "expected"), [(-1e-7, 0), (1 + 1e-7, 1), (0.5, 0.5), (1 + 1e-5, 1 + 1e-5)])
def test_snap_mends_rounding_only(value, expected):
    assert base.snap(value, 0, 1) == expected


@pytest.mark.parametrize("shape", [(12, 40), (12, 12), (12, 5)])
def test_thin_keeps_inner_products(shape):
    x = np.random.default_rng(0).normal(size=shape)
    x[3] = x[4]  # not of full rank
    y = base.thin(x)
    assert y.shape == (12, min(shape))
    np.testing.assert_allclose(y @ y.T, x @ x.T, atol=1e-12)


def test_import_is_light():
    heavy = {"torch", "ripser", "sklearn", "ripserplusplus", "ot"}
    code = f"import sys, mettle.measures; print({heavy} & set(sys.modules))"
    path = Path(measures.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_float32_features_whose_squares_leave_float32(size):
    x, y = (features(seed).astype(np.float32) for seed in (0, 1))
    tiny = x * np.float32(size)
    assert base.check(x, "x") is x
    assert base.check(tiny, "x").dtype == np.float64
    assert compare("cka", tiny, y) == pytest.approx(compare("cka", x, y), rel=1e-5)
    assert compare("procrustes", tiny, y) == pytest.approx(compare("procrustes", x, y), rel=1e-5)


def test_half_precision_is_computed_in_double():
    assert base.check(features(0).astype(np.float16), "x").dtype == np.float64


@pytest.mark.parametrize(("n", "d"), [(20, 4), (17_000, 4), (17_000, 16), (17_000, 100)])
def test_product_of_float32_is_summed_in_float64(n, d):
    x = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    y = x[:, :-1] + 1
    found = base.product(x, y)
    assert found.dtype == np.float64
    double = y.astype(np.float64)
    exact = x.astype(np.float64).T @ double
    assert (np.abs(found - exact) <= 1e-6 * (np.abs(x).T.astype(np.float64) @ np.abs(double))).all()
    np.testing.assert_array_equal(base.product(x, double), x.T @ double)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_centring_far_from_the_origin(dtype):
    x = (np.random.default_rng(0).normal(size=(500, 3)) + 1e4).astype(dtype)
    y = base.centred(x, dtype)
    assert y.dtype == dtype
    assert np.abs(y.mean(axis=0, dtype=np.float64)).max() < 1e-6
    np.testing.assert_allclose(y, x.astype(np.float64) - x.mean(axis=0, dtype=np.float64), atol=1e-5)


def test_every_measure_has_its_own_scale_and_every_scale_its_measure():
    found = MEASURES | FUNCTIONAL
    assert {name: measure.scale for name, measure in found.items()} == SCALES
