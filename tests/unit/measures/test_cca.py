"""CCA, SVCCA, PWCCA: correlations of the best linear combinations, by the textbook formula."""

import numpy as np
import pytest
from scipy.linalg import eigh

from mettle import measures
from mettle.measures.cca import prepare_svcca


def correlations(x, y):
    """Canonical correlations and the first side's canonical variables, from covariances."""
    x, y = (z - z.mean(axis=0) for z in (x, y))
    explained = x.T @ y @ np.linalg.inv(y.T @ y) @ y.T @ x
    squares, maps = eigh(explained, x.T @ x)
    order = np.argsort(squares)[::-1][: min(x.shape[1], y.shape[1])]
    return np.sqrt(np.maximum(squares[order], 0)), x @ maps[:, order]


def mixed(seed, n=60, d=5, e=8):
    """Two sets of features that share something."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 2
    return x, x @ rng.normal(size=(d, e)) + 3 * rng.normal(size=(n, e))


@pytest.mark.parametrize(("d", "e"), [(5, 8), (8, 5), (1, 4)])
def test_cca_equals_the_textbook(d, e):
    x, y = mixed(0, d=d, e=e)
    found, _ = correlations(x, y)
    assert measures.compare("cca", x, y) == pytest.approx(found.mean(), abs=1e-10)
    assert measures.compare("cca", x, y, statistic="mean_square") == pytest.approx((found**2).mean(), abs=1e-10)


def test_one_dimension_is_plain_correlation():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 1))
    expected = abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1])
    for name in ("cca", "svcca", "pwcca"):
        assert measures.compare(name, x, y) == pytest.approx(expected)


def test_linear_maps_are_equal_and_the_orthogonal_is_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6))
    for name in ("cca", "pwcca"):
        assert measures.compare(name, x, x @ rng.normal(size=(6, 6)) + 1) == pytest.approx(1)
    assert measures.compare("cca", x[:, :2], x) == pytest.approx(1)
    q = np.linalg.qr(np.column_stack([np.ones(40), x]))[0][:, 1:]
    for name in ("cca", "svcca", "pwcca"):
        assert measures.compare(name, q[:, :3], q[:, 3:]) == pytest.approx(0, abs=1e-9)


def test_a_shared_part_counts_by_its_share():
    x = np.linalg.qr(np.column_stack([np.ones(40), np.random.default_rng(0).normal(size=(40, 7))]))[0][:, 1:]
    assert measures.compare("cca", x[:, :4], x[:, 1:5]) == pytest.approx(3 / 4)
    assert measures.compare("pwcca", x[:, :4], x[:, 1:5]) == pytest.approx(3 / 4, abs=0.1)


def test_floor_of_independent_features():
    x, y = np.random.default_rng(0).normal(size=(2, 300, 60))
    found = measures.compare("cca", x, y, statistic="mean_square")
    assert found == pytest.approx(60 / 299, rel=0.05)


@pytest.mark.parametrize("name", ["cca", "svcca", "pwcca"])
def test_dead_and_duplicate_units_change_nothing(name):
    x, y = mixed(0)
    x = np.maximum(x, 0)
    more = np.column_stack([x, np.zeros(60), np.full(60, 0.1)])
    assert measures.compare(name, more, y) == pytest.approx(measures.compare(name, x, y), abs=1e-12)
    assert measures.compare(name, y, more) == pytest.approx(measures.compare(name, y, x), abs=1e-12)
    if name == "cca":
        twice = np.column_stack([x, x[:, 0]])
        assert measures.compare(name, twice, y) == pytest.approx(measures.compare(name, x, y), abs=1e-12)


def test_svcca_keeps_what_explains_the_variance():
    rng = np.random.default_rng(0)
    q = np.linalg.qr(np.column_stack([np.ones(50), rng.normal(size=(50, 4))]))[0][:, 1:]
    x = q * np.sqrt([0.6, 0.3, 0.09, 0.01])
    for variance, kept in ((0, 1), (0.5, 1), (0.61, 2), (0.89, 2), (0.95, 3), (0.995, 4), (1, 4)):
        basis = prepare_svcca(x, variance=variance).basis
        assert basis.shape == (50, kept), variance
        np.testing.assert_allclose(basis @ basis.T, q[:, :kept] @ q[:, :kept].T, atol=1e-12)


def test_svcca_of_all_variance_is_cca():
    x, y = mixed(0)
    assert measures.compare("svcca", x, y, variance=1.0) == pytest.approx(measures.compare("cca", x, y))


def test_svcca_does_not_see_noise_that_cca_sees():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    noisy = np.column_stack([x, 1e-3 * rng.normal(size=(60, 10))])
    other = np.column_stack([x, 1e-3 * rng.normal(size=(60, 10))])
    assert measures.compare("svcca", noisy, other) == pytest.approx(1)
    assert measures.compare("cca", noisy, other) < 0.8


def test_svcca_with_fewer_images_than_dimensions():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3)) @ rng.normal(size=(3, 100))
    assert measures.compare("svcca", x, x + 1e-3 * rng.normal(size=(30, 100))) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("d", "e"), [(5, 8), (8, 5)])
def test_pwcca_equals_the_definition(d, e):
    x, y = mixed(1, d=d, e=e)
    found, variables = correlations(x, y)
    weights = [sum(abs(h @ unit) for unit in (x - x.mean(axis=0)).T) for h in variables.T]
    expected = np.average(found, weights=weights)
    assert measures.compare("pwcca", y, x) == pytest.approx(expected, abs=1e-10)


def test_pwcca_asks_how_well_the_first_explains_the_units_of_the_second():
    """A unit of the second model that the first lacks costs by its size."""
    q = np.linalg.qr(np.column_stack([np.ones(40), np.random.default_rng(0).normal(size=(40, 3))]))[0][:, 1:]
    x, y = q[:, :2] * [1, 0.01], q[:, [0, 2]]
    assert measures.compare("pwcca", y, x) == pytest.approx(1 / 1.01)
    assert measures.compare("pwcca", x, y) == pytest.approx(1 / 2)


@pytest.mark.parametrize("name", ["cca", "pwcca"])
def test_no_correlation_is_1_whatever_the_features_from_min_images_on(name):
    needed = measures.get(name).min_images(8)
    x, y = np.random.default_rng(0).normal(size=(2, needed, 8))
    assert correlations(x, y)[0].max() < 1 - 1e-6
    assert correlations(x[1:], y[1:])[0].max() == pytest.approx(1)


def test_min_images():
    needed = {name: measures.get(name).min_images(512) for name in ("cca", "svcca", "pwcca")}
    assert needed == {"cca": 1025, "svcca": 3, "pwcca": 1025}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cca", {"statistic": "max"}, "statistic must be one of 'mean', 'mean_square', got 'max'"),
        ("svcca", {"variance": 1.5}, "variance must be a number from 0 to 1, got 1.5"),
        ("svcca", {"variance": "most"}, "variance must be a number from 0 to 1, got 'most'"),
    ],
)
def test_options_without_meaning(name, options, message):
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=f"^{name} of x: {message}$"):
        measures.compare(name, x, x, **options)


def test_svcca_refuses_a_pair_that_keeps_too_many_components():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 512))
    message = r"^29 and 29 components of 30 images always share a direction: use more images"
    with pytest.raises(ValueError, match=message):
        measures.compare("svcca", x, y)
    a, b = (prepare_svcca(z, variance=0.4) for z in (x, y))
    assert a.basis.shape[1] + b.basis.shape[1] < 30
    assert measures.get("svcca").score(a, b) < 0.8


def test_components_that_just_fit_share_nothing_by_force():
    x, y = np.random.default_rng(1).normal(size=(2, 41, 20))
    found, _ = correlations(x, y)
    assert found.max() < 1 - 1e-6
    assert measures.compare("svcca", x, y, variance=1) == pytest.approx(found.mean())
    with pytest.raises(ValueError, match=r"^20 and 20 components of 40 images always share a direction"):
        measures.compare("svcca", x[1:], y[1:], variance=1)
