"""CKA: the fast form is the definition, in every mix of widths."""

import numpy as np
import pytest

from mettle import measures


def u_centred(x):
    """Gram matrix without its diagonal, U-centred entry by entry (Székely and Rizzo 2014, definition 2)."""
    k = x @ x.T
    np.fill_diagonal(k, 0)
    n, row, total = len(k), k.sum(axis=1), k.sum()
    k = k - row[:, None] / (n - 2) - row[None, :] / (n - 2) + total / ((n - 1) * (n - 2))
    np.fill_diagonal(k, 0)
    return k


def doubly_centred(x):
    h = np.eye(len(x)) - 1 / len(x)
    return h @ x @ x.T @ h


def by_definition(gram, x, y):
    k, l = gram(x), gram(y)  # noqa: E741
    return (k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum())


@pytest.mark.parametrize("name", ["cka", "cka_biased"])
def test_golden(name, pair, golden):
    for options, value, tolerance in golden(name):
        assert measures.compare(name, *pair, **options) == pytest.approx(value, rel=0, abs=tolerance)


@pytest.mark.parametrize(("name", "gram"), [("cka", u_centred), ("cka_biased", doubly_centred)])
@pytest.mark.parametrize(("d", "e"), [(3, 4), (3, 80), (80, 3), (80, 130), (30, 30)])
def test_equals_the_definition(name, gram, d, e):
    rng = np.random.default_rng(d * e)
    x, y = rng.normal(size=(30, d)) + 2, rng.normal(size=(30, e))
    y[:, 0] += x[:, 0]
    assert measures.compare(name, x, y) == pytest.approx(by_definition(gram, x, y), abs=1e-12)


@pytest.mark.parametrize("name", ["cka", "cka_biased"])
def test_feature_form_equals_gram_form(name):
    """Padding with zeros makes features wider than the images are many, and changes nothing else."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 6)), rng.normal(size=(30, 7))
    wide = np.pad(x, [(0, 0), (0, 50)])
    assert measures.prepare(name, wide).factor.shape == (30, 30)
    assert measures.prepare(name, x).factor.shape == (30, 6)
    assert measures.compare(name, wide, y) == pytest.approx(measures.compare(name, x, y), abs=1e-13)


def test_independent_features():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 500, 2000))
    assert measures.compare("cka", x, y) == pytest.approx(0, abs=0.01)
    assert measures.compare("cka_biased", x, y) == pytest.approx(0.80, abs=0.01)


@pytest.mark.parametrize("name", ["cka", "cka_biased"])
def test_far_from_the_origin(name):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 50, 6))
    assert measures.compare(name, x + 1e6, y) == pytest.approx(measures.compare(name, x, y), abs=1e-8)


def test_unbiased_can_be_negative():
    rng = np.random.default_rng(0)
    values = [measures.compare("cka", *rng.normal(size=(2, 20, 30))) for _ in range(10)]
    assert min(values) < 0 < max(values)


def test_equidistant_images_have_no_unbiased_cka():
    with pytest.raises(ValueError, match=r"^cka of x: CKA is undefined: HSIC .* with themselves is zero or less$"):
        measures.compare("cka", np.eye(8), np.random.default_rng(0).normal(size=(8, 3)))
    assert measures.compare("cka_biased", np.eye(8), np.eye(8)) == pytest.approx(1)
