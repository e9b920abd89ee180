"""Jaccard: neighbours and overlaps as plain sets give the same numbers."""

import numpy as np
import pytest

from mettle import measures


def neighbour_sets(x, k, metric, self_policy, centre):
    """The k nearest images of each, by sorting all pairs one by one."""
    x = x - x.mean(axis=0) if centre else x
    found = []
    for i, a in enumerate(x):
        if metric == "cosine":
            far = [-(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b)) for b in x]
        else:
            far = [np.linalg.norm(a - b) for b in x]
        others = [j for j in sorted(range(len(x)), key=lambda j, far=far: far[j]) if j != i]
        found.append(set([i, *others][:k] if self_policy == "include" else others[:k]))
    return found


def test_golden(pair, golden):
    rows = golden("jaccard")
    assert len(rows) == 7
    for options, value, tolerance in rows:
        assert measures.compare("jaccard", *pair, **options) == pytest.approx(value, rel=0, abs=tolerance), options


@pytest.mark.parametrize("name", ["rank", "rank_jaccard"])
def test_golden_of_ranks(name, pair, golden):
    ((options, value, tolerance),) = golden(name)
    assert measures.compare(name, *pair, **options) == pytest.approx(value, rel=0, abs=tolerance)


def by_lists(a, b):
    """Jaccard overlap and rank similarity of two lists of neighbours, one neighbour at a time."""
    common = set(a) & set(b)
    ranks = [(list(a).index(j) + 1, list(b).index(j) + 1) for j in common]
    near = sum(2 / ((1 + abs(r - s)) * (r + s)) for r, s in ranks)
    return len(common) / len(set(a) | set(b)), near / sum(1 / (i + 1) for i in range(len(common))) if common else 0


@pytest.mark.parametrize("k", [1, 4, 15])
def test_ranks_equal_plain_lists(k):
    rng = np.random.default_rng(k)
    x = rng.normal(size=(30, 4))
    y = x + rng.normal(size=(30, 4))
    a, b = (measures.prepare("rank", z, k=k) for z in (x, y))
    overlaps, ranks = np.array([by_lists(p, q) for p, q in zip(a, b, strict=True)]).T
    expected = {"jaccard": overlaps.mean(), "rank": ranks.mean(), "rank_jaccard": (overlaps * ranks).mean()}
    for name, value in expected.items():
        assert measures.compare(name, x, y, k=k) == pytest.approx(value, abs=1e-14)


def test_ranks_see_the_order_of_the_same_neighbours():
    line = np.array([[0.0], [1], [3], [3.5], [4.5]])
    mirrored = line.copy()
    mirrored[0] = 7
    options = {"k": 4, "metric": "euclidean"}
    assert measures.compare("rank", line, mirrored, **options) < 0.9


def test_no_common_neighbour():
    a, b = np.array([[1, 2], [0, 2], [0, 1]]), np.array([[3, 4], [5, 2], [0, 1]])
    assert measures.get("jaccard").score(a, b) == pytest.approx((0 + 1 / 3 + 1) / 3)
    assert measures.get("rank").score(a, b) == pytest.approx((0 + 1 / 2 + 1) / 3)
    assert measures.get("rank_jaccard").score(a, b) == pytest.approx((0 + 1 / 6 + 1) / 3)


def test_self_at_cosine_zero_is_a_neighbour_where_others_are_opposite(pair):
    own = np.arange(40)[:, None]
    options = {"k": 10, "centre": False}
    a = measures.prepare("jaccard", pair[0], self_policy="zero", **options)
    assert (a == own).sum() == 2
    assert not (measures.prepare("jaccard", pair[0], **options) == own).any()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("self_policy", ["include", "exclude"])
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("k", [2, 7, 28])
def test_equals_plain_sets(metric, self_policy, centre, k):
    rng = np.random.default_rng(k)
    x = rng.normal(size=(30, 4)) + 1
    y = x[:, :3] + 0.5 * rng.normal(size=(30, 3))
    options = {"k": k, "metric": metric, "self_policy": self_policy, "centre": centre}
    a, b = (neighbour_sets(z, **options) for z in (x, y))
    expected = np.mean([len(p & q) / len(p | q) for p, q in zip(a, b, strict=True)])
    assert [set(row) for row in measures.prepare("jaccard", x, **options)] == a
    assert measures.compare("jaccard", x, y, **options) == pytest.approx(expected, abs=1e-15)


def test_first_of_equally_near_images_count():
    line = np.arange(-2.0, 3)[:, None]
    found = measures.prepare("jaccard", line, k=1, metric="euclidean")
    assert found.tolist() == [[1], [0], [1], [2], [3]]


def test_an_image_is_its_own_neighbour_even_among_copies():
    x = np.repeat(np.random.default_rng(0).normal(size=(4, 3)), 5, axis=0)
    found = measures.prepare("jaccard", x, k=2, self_policy="include")
    assert found[:, 0].tolist() == list(range(20))


def test_euclidean_neighbours_do_not_depend_on_centring():
    x, y = np.random.default_rng(0).normal(size=(2, 60, 4)) + 1e5
    options = {"metric": "euclidean", "k": 5}
    near = measures.compare("jaccard", x, y, **options)
    assert measures.compare("jaccard", x, y, centre=False, **options) == near
    assert measures.compare("jaccard", x - 1e5, y - 1e5, **options) == near


def test_cosine_neighbours_depend_on_centring():
    x, y = np.random.default_rng(0).normal(size=(2, 60, 4)) + 3
    assert measures.compare("jaccard", x, y) != measures.compare("jaccard", x, y, centre=False)


@pytest.mark.parametrize(
    ("options", "floor"), [({}, 0.011), ({"metric": "euclidean", "self_policy": "include"}, 0.059)]
)
def test_independent_features(options, floor):
    x, y = np.random.default_rng(0).normal(size=(2, 500, 50))
    assert measures.compare("jaccard", x, y, **options) == pytest.approx(floor, abs=0.004)


def test_min_images():
    needed = measures.get("jaccard").min_images
    assert (needed(8), needed(8, k=3), needed(8, k=3, self_policy="include")) == (12, 5, 4)
    needed = measures.get("rank").min_images  # which sees their order, too
    assert (needed(8), needed(8, k=3), needed(8, k=3, self_policy="include"), needed(8, k=1)) == (11, 4, 3, 3)


def test_an_image_alone_is_no_neighbourhood():
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=r"^jaccard of x: k must be a whole number of at least 2, got 1$"):
        measures.compare("jaccard", x, x, k=1, self_policy="include")


def test_image_without_direction():
    x = np.random.default_rng(0).normal(size=(20, 3))
    x[6] = 0
    with pytest.raises(ValueError, match=r"^jaccard of vgg: row 6 has length 0 .* no cosine; use metric 'euclidean'$"):
        measures.prepare("jaccard", x, who="vgg", centre=False)
    assert measures.compare("jaccard", x, x, metric="euclidean") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be a whole number of at least 1, got 0"),
        ({"k": 2.5}, "k must be a whole number of at least 1, got 2.5"),
        ({"k": True}, "k must be a whole number of at least 1, got True"),
        ({"metric": "foo"}, "metric must be one of 'cosine', 'euclidean', got 'foo'"),
        ({"self_policy": "no"}, "self_policy must be one of 'exclude', 'include', 'zero', got 'no'"),
        (
            {"self_policy": "zero", "metric": "euclidean"},
            "self_policy must be one of 'exclude', 'include', got 'zero'",
        ),
        ({"centre": None}, "centre must be one of True, False, got None"),
    ],
)
def test_options_without_meaning(options, message):
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=f"^jaccard of x: {message}$"):
        measures.compare("jaccard", x, x, **options)
