"""CKA: the fast form is the definition, in every mix of widths."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mettle import measures
from mettle.measures import kernels


def u_centred(x):
    return u_centred_kernel(x @ x.T)


def u_centred_kernel(k):
    """Kernel matrix without its diagonal, U-centred entry by entry (Székely and Rizzo 2014, definition 2)."""
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
    assert measures.prepare(name, wide).kernel.matrix.shape == (30, 30)
    assert measures.prepare(name, x).kernel.matrix.shape == (30, 6)
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


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [8, 10, 13, 100])
@pytest.mark.parametrize("name", ["cka", "cka_minibatch", "cka_rbf"])
def test_equidistant_images_have_no_unbiased_cka(name, n, dtype):
    x = np.eye(n, dtype=dtype)
    for images in (x, x[:, 1:] + 1 / (1 + np.sqrt(n)) * x[:, :1]):  # n - 1 units are enough
        with pytest.raises(ValueError, match=f"^{name} of x: CKA is undefined: HSIC .* with themselves is zero or"):
            measures.compare(name, images, np.random.default_rng(0).normal(size=(n, 3)))


def test_equidistant_images_have_biased_cka():
    assert measures.compare("cka_biased", np.eye(8), np.eye(8)) == pytest.approx(1)


@pytest.mark.parametrize("name", ["cka", "cka_biased", "cka_minibatch", "cka_rbf"])
@pytest.mark.parametrize(("n", "d"), [(400, 30), (60, 300), (10, 4096), (4, 2000)])
def test_float32_is_close_to_float64(name, n, d):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d)).astype(np.float32) + 5
    y = np.maximum(x[:, : d // 2] - 5 + rng.normal(size=(n, d // 2)), 0).astype(np.float32)
    double = measures.compare(name, x.astype(np.float64), y.astype(np.float64))
    assert measures.compare(name, x, y) == pytest.approx(double, abs=1e-6)


def gaussian(x, bandwidth):
    far = cdist(x, x)
    middle = np.sort(far[np.triu_indices(len(x), 1)])[(len(x) * (len(x) - 1) // 2 - 1) // 2]
    return np.exp(-(far**2) / (2 * (bandwidth * middle) ** 2))


@pytest.mark.parametrize("tile", [1024, 7])
@pytest.mark.parametrize("bandwidth", [1.0, 0.3])
def test_rbf_equals_the_definition(monkeypatch, tile, bandwidth):
    monkeypatch.setattr(kernels, "TILE", tile)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4)) + 2
    y = x[:, :3] ** 2 + 0.1 * rng.normal(size=(30, 3))
    expected = by_definition(u_centred_kernel, gaussian(x, bandwidth), gaussian(y, bandwidth))
    assert measures.compare("cka_rbf", x, y, bandwidth=bandwidth) == pytest.approx(expected, abs=1e-7)


def test_wide_rbf_is_linear():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4))
    y = x + rng.normal(size=(50, 4))
    expected = measures.compare("cka", x, y)
    assert measures.compare("cka_rbf", x, y, bandwidth=100) == pytest.approx(expected, abs=1e-3)
    assert abs(measures.compare("cka_rbf", x, y) - expected) > 0.004


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("bandwidth", [30, 1e3, 1e6])
def test_wide_rbf_keeps_its_digits(bandwidth, dtype):
    rng = np.random.default_rng(0)
    x, y = np.maximum(rng.normal(size=(2, 50, 20)), 0).astype(dtype)
    expected = measures.compare("cka", x, y)
    assert measures.compare("cka_rbf", x, y, bandwidth=bandwidth) == pytest.approx(expected, abs=0.2 / bandwidth + 1e-6)


def test_rbf_too_wide_for_floating_point():
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=r"^cka_rbf of x: CKA is undefined: HSIC of the features with themselves is"):
        measures.compare("cka_rbf", x, x, bandwidth=1e200)


def test_rbf_sees_what_no_line_does():
    x = np.random.default_rng(0).normal(size=(500, 1))
    assert measures.compare("cka", x, x**2) < 0.1 < measures.compare("cka_rbf", x, x**2, bandwidth=0.5)


def test_rbf_without_a_distance():
    x = np.zeros((20, 2))
    x[0] = 1
    with pytest.raises(ValueError, match=r"^cka_rbf of net: the median distance between images is zero, so the RBF"):
        measures.prepare("cka_rbf", x, who="net")


@pytest.mark.parametrize("bandwidth", [0, -1, True, "1", np.nan])
def test_bandwidth_without_meaning(bandwidth):
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=r"^cka_rbf of x: bandwidth must be a number of at least .*, got "):
        measures.compare("cka_rbf", x, x, bandwidth=bandwidth)


def hsic(x, y):
    """Unbiased HSIC, Nguyen et al. 2021, equation 3, with its vectors of ones."""
    k, l, n = x @ x.T, y @ y.T, len(x)  # noqa: E741
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    one = np.ones(n)
    sums = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ l @ one)
    return (np.trace(k @ l) + sums) / (n * (n - 3))


@pytest.mark.parametrize(("n", "sizes"), [(40, [10, 10, 10, 10]), (47, [12, 12, 12, 11]), (19, [19])])
def test_minibatch_equals_the_definition(n, sizes):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 5)) + 1
    y = x[:, :4] + rng.normal(size=(n, 4))
    options = {"batch": 10, "seed": 3}
    batches = np.split(measures.prepare("cka_minibatch", x, **options).order, np.cumsum(sizes)[:-1])
    assert sorted(np.concatenate(batches)) == list(range(n))
    xy, xx, yy = (sum(hsic(a[rows], b[rows]) for rows in batches) for a, b in ((x, y), (x, x), (y, y)))
    assert measures.compare("cka_minibatch", x, y, **options) == pytest.approx(xy / np.sqrt(xx * yy), abs=1e-12)


def test_one_batch_is_cka(pair):
    expected = measures.compare("cka", *pair)
    assert measures.compare("cka_minibatch", *pair) == pytest.approx(expected, abs=1e-14)
    assert abs(measures.compare("cka_minibatch", *pair, batch=10) - expected) > 1e-3


def test_batches_are_shared_and_seeded():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 3))
    one, other, seeded = (measures.prepare("cka_minibatch", z, batch=10, seed=s) for z, s in ((x, 0), (y, 0), (y, 1)))
    assert (one.order == other.order).all()
    assert (one.order != seeded.order).any()
    unlike = [
        seeded,
        measures.prepare("cka_minibatch", y, batch=15),
        measures.prepare("cka_minibatch", y[1:], batch=10),
    ]
    for state in unlike:
        with pytest.raises(ValueError, match=r"^minibatch CKA needs the same batches for both models: same number of "):
            measures.get("cka_minibatch").score(one, state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 3}, "batch must be a whole number of at least 4, got 3"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_minibatch_options_without_meaning(options, message):
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=f"^cka_minibatch of x: {message}$"):
        measures.compare("cka_minibatch", x, x, **options)
