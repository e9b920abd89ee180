"""Whatever a measure claims about itself holds; each test runs for every registered measure."""

import inspect
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mettle import measures
from mettle.measures import MEASURES, base

SMALL = {"points": 40, "trials": 2, "engine": "ripser"}  # for options that make a measure slow
KNOWN_INVARIANCES = {"orthogonal", "translation", "isotropic scaling"}

every = pytest.mark.parametrize("name", MEASURES)


def small(name):
    return {option: SMALL[option] for option in MEASURES[name].options if option in SMALL}


def compare(name, x, y):
    return measures.compare(name, x, y, **small(name))


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
}


@every
def test_record_is_complete(name):
    measure = MEASURES[name]
    assert measure.label and measure.reference
    assert measure.invariances <= KNOWN_INVARIANCES
    assert measure.range[0] <= measure.self_value <= measure.range[1]
    assert measure.self_value == measure.range[1 if measure.higher_is_alike else 0]


@every
def test_options_are_the_defaults_of_prepare(name):
    parameters = list(inspect.signature(MEASURES[name].prepare).parameters.values())[1:]
    free = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD}
    assert dict(MEASURES[name].options) == free


@every
@pytest.mark.parametrize("change", sorted(KNOWN_INVARIANCES))
def test_declared_invariance(name, change):
    if change not in MEASURES[name].invariances:
        pytest.skip(f"{name} does not claim it")
    x, y = features(0), features(1, d=5)
    expected = compare(name, x, y)
    assert compare(name, CHANGES[change](x), y) == pytest.approx(expected, rel=1e-5, abs=1e-9)
    assert compare(name, x, CHANGES[change](y)) == pytest.approx(expected, rel=1e-5, abs=1e-9)


@every
def test_sees_a_stretched_axis(name):
    x = features(0)
    stretched = x * np.where(np.arange(x.shape[1]) == 0, 20, 1)
    assert abs(compare(name, x, stretched) - MEASURES[name].self_value) > 0.01


@every
def test_self_value(name):
    for x in (features(0), features(0, n=40, d=90)):
        assert compare(name, x, x) == pytest.approx(MEASURES[name].self_value, abs=1e-9)


@every
def test_range(name):
    low, high = MEASURES[name].range
    for seed in range(6):
        x, y = features(seed, d=3 + 20 * seed), features(seed + 100, d=4)
        for other in (y, -x, x + 1e-9 * features(7, d=x.shape[1])):
            assert low <= compare(name, x, other) <= high


@every
def test_direction_and_display(name):
    measure, x = MEASURES[name], features(0)
    near, far = compare(name, x, x + 0.1 * features(1)), compare(name, x, features(2))
    assert (near > far) == measure.higher_is_alike
    assert measure.display(measure.self_value) > measure.display(near) > measure.display(far)


@every
def test_symmetric(name):
    x, y = features(0), features(1, d=70)
    assert compare(name, x, y) == pytest.approx(compare(name, y, x), rel=1e-9)


@every
def test_rows_must_match_to_be_alike(name):
    x = features(0)
    shuffled = x[np.random.default_rng(0).permutation(len(x))]
    display = MEASURES[name].display
    assert display(compare(name, x, shuffled)) < display(compare(name, x, x)) - 0.05


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
    assert compare(name, x, y) == compare(name, x.astype(np.float64), y) == compare(name, x.tolist(), y)
    assert (x == before).all()


@every
def test_works_at_min_images_and_not_below(name):
    needed = MEASURES[name].min_images(**MEASURES[name].options | small(name))
    x, y = features(0, n=needed), features(1, n=needed)
    assert math.isfinite(compare(name, x, y))
    with pytest.raises(ValueError, match=f"^{name} of x: at least {needed} images are needed, got {needed - 1}$"):
        compare(name, x[1:], y[1:])


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
    with pytest.raises(ValueError, match=r"^unknown measure 'ckaa'; known: cka, cka_biased, procrustes, jaccard, rtd$"):
        measures.get("ckaa")
    assert measures.get("cka") is MEASURES["cka"]


def test_constant_up_to_rounding():
    with pytest.raises(ValueError, match=r"^the features are constant over images up to rounding$"):
        base.unit(np.array([[1e-200], [2e-200]]))


@pytest.mark.parametrize(("value", "expected"), [(-1e-12, 0), (1 + 1e-12, 1), (0.5, 0.5), (1.1, 1.1)])
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
    code = "import sys, mettle.measures; print({'torch', 'ripser', 'sklearn', 'ripserplusplus'} & set(sys.modules))"
    path = Path(measures.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
