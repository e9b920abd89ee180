"""Square: a walk that never climbs, inside ball, pixel range and budget, as strong as the published code."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mettle import models
from mettle.perturb import Draws, norm
from mettle.perturb.goal import untargeted
from mettle.perturb.square import _patterns, _share, _window, square
from robust import RADII, RowByRow, robust

CPU = models.Policy(torch.device("cpu"))
NORMS = ["l1", "l2", "linf"]
SHAPE = (3, 8, 8)


class Recorder(nn.Module):
    """A network that keeps the margin of whatever it is asked, one row per pass."""

    def __init__(self, labels, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10))
        self.labels, self.margins = labels, []

    def forward(self, x):
        logits = self.network(x)
        if len(x) == len(self.labels):
            true = logits.gather(1, self.labels[:, None])[:, 0]
            self.margins.append((true - logits.scatter(1, self.labels[:, None], -torch.inf).amax(1)).detach())
        return logits


def images(n=16, seed=0, low=0.0, high=1.0):
    return low + (high - low) * torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def attack(model, x, y, name, eps, ids=None, **options):
    return square(
        model, x, untargeted(y), norm=name, eps=eps, draws=Draws(0, ids or range(len(x))), policy=CPU, **options
    )


def subject(n=16, low=0.0, high=1.0):
    x = images(n, low=low, high=high)
    model = Recorder(torch.zeros(n, dtype=torch.long))
    model.labels = model.network(x).argmax(1)
    return model, x, model.labels


@pytest.mark.parametrize("name", NORMS)
def test_the_image_with_the_smallest_margin_of_all_asked_comes_back(name):
    model, x, y = subject()
    attacked, queries = attack(model, x, y, name, {"l1": 0.1, "l2": 0.01, "linf": 0.001}[name], queries=60)
    margins = torch.stack(model.margins)
    assert margins.shape == (60, 16) and (queries == 60).all()
    model(attacked)
    torch.testing.assert_close(model.margins[-1], margins.amin(0))
    assert (margins.amin(0) < margins[:2].amin(0)).float().mean() > 0.9


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("budget", [0, 1, 2, 3, 40])
def test_budget_is_kept_to_the_query(name, budget):
    model, x, y = subject()
    attacked, queries = attack(model, x, y, name, {"l1": 3.0, "l2": 0.3, "linf": 0.02}[name], queries=budget)
    assert queries.max() <= budget
    fooled = model.network(attacked).argmax(1) != y
    assert (queries[~fooled] == budget).all()
    if budget <= 1:
        assert attacked.equal(x)


def test_the_whole_ball_is_used():
    model, x, y = subject(low=0.3, high=0.7)
    attacked, _ = attack(model, x, y, "linf", 1e-3, queries=30)
    changed = (attacked != x).flatten(1).any(1)
    assert changed.sum() >= 15
    torch.testing.assert_close((attacked - x)[changed].abs(), torch.full_like(x[changed], 1e-3), rtol=0, atol=3e-7)
    for name, eps in (("l1", 0.1), ("l2", 0.01)):
        attacked, _ = attack(model, x, y, name, eps, queries=30)
        distance = norm(name).distance(attacked.double() - x.double())
        distance = distance[distance > 0]
        torch.testing.assert_close(distance, torch.full_like(distance, eps), rtol=1e-3, atol=0)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(NORMS),
    eps=st.floats(0, 3.0),
    seed=st.integers(0, 2**31),
    queries=st.integers(0, 12),
    shape=st.sampled_from([(3, 8, 8), (3, 3, 4), (3, 12, 7)]),
)
def test_attacked_images_lie_inside_ball_and_pixel_range(name, eps, seed, queries, shape):
    torch.manual_seed(seed % 5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), 2))
    x = torch.rand(5, *shape, generator=torch.Generator().manual_seed(seed)).mul(3).sub(1).clamp(0, 1)
    attacked, _ = attack(model, x, model(x).argmax(1), name, eps, queries=queries)
    assert (norm(name).distance(attacked.double() - x.double()) <= eps).all()
    assert attacked.min() >= 0 and attacked.max() <= 1


@pytest.mark.parametrize("name", NORMS)
def test_as_strong_as_the_published_code(name):
    from pyautoattack.square import SquareAttack

    model, x, y = robust(name)
    x, y, eps = x[:120], y[:120], 1.5 * RADII[name]
    ours, _ = attack(model, x, y, name, eps, queries=120)
    fooled = model(ours).argmax(1) != y
    peers = [
        SquareAttack(model, norm=name.capitalize(), n_queries=120, eps=eps, seed=seed, device="cpu") for seed in (0, 1)
    ]
    expected = [model(peer.perturb(x, y)).argmax(1) != y for peer in peers]
    between_seeds = (expected[0] != expected[1]).sum()
    assert fooled.sum() > (model(x).argmax(1) != y).sum()
    assert all((fooled != other).sum() <= between_seeds + 5 for other in expected)
    assert fooled.sum() >= min(other.sum() for other in expected) - 2


@pytest.mark.parametrize("name", NORMS)
def test_batches_do_not_matter(name):
    model, x = RowByRow(SHAPE), images(24)
    y = model(x).argmax(1)
    eps, options = {"l1": 4.0, "l2": 0.4, "linf": 0.03}[name], {"queries": 60}
    whole, spent = attack(model, x, y, name, eps, **options)
    for size in (1, 7):
        parts = [
            attack(model, x[index], y[index], name, eps, ids=index.tolist(), **options)
            for index in torch.arange(24).split(size)
        ]
        assert torch.cat([part for part, _ in parts]).equal(whole)
        assert torch.cat([queries for _, queries in parts]).equal(spent)
    assert 0 < (model(whole).argmax(1) != y).sum() < 24


def test_misclassified_images_are_left_alone():
    model, x, y = subject()
    attacked, queries = attack(model, x, (y + 1) % 10, "linf", 0.1)
    assert attacked.equal(x)
    assert (queries == 1).all()


def test_success_is_what_the_exact_model_says():
    model, x, y = subject(32)
    fast = copy.deepcopy(model.network)
    fast[3].bias.data += 0.05 * torch.randn(10, generator=torch.Generator().manual_seed(0))
    attacked, queries = attack(models.Folded(fast, model.network), x, y, "linf", 0.05, queries=40)
    fooled = model.network(attacked).argmax(1) != y
    assert 0 < fooled.sum() < 32
    assert (queries[~fooled] >= 40).all()


def test_schedule_is_the_published_one():
    ends = {0: 1, 10: 1, 11: 2, 50: 2, 51: 4, 201: 8, 501: 16, 1001: 32, 2001: 64, 4001: 128, 6001: 256, 8001: 512}
    for step, shrunk in ends.items():
        assert _share(step, 10_000) == 1 / shrunk
    assert _share(250, 500) == _share(5000, 10_000)


def test_windows_reach_every_place_and_stay_whole():
    like = torch.zeros(4000, 1, 5, 6)
    corner = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0))
    windows = _window(corner, 3, like)[:, 0]
    assert {(first // 6, first % 6) for first in windows[:, 0].tolist()} == {(r, c) for r in range(3) for c in range(4)}
    first = windows[0, 0].item()
    assert windows[0].tolist() == [first + 6 * row + column for row in range(3) for column in range(3)]
    last = _window(torch.full((1, 2), 1 - 2**-24), 3, like[:1])
    assert last.max() == 5 * 6 - 1


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 32])
def test_pattern_has_length_one_and_its_halves_oppose(size):
    pattern, turned = _patterns(size, "l2")
    torch.testing.assert_close(pattern.norm(), torch.tensor(1.0))
    torch.testing.assert_close(_patterns(size, "l1")[0].abs().sum(), torch.tensor(1.0))
    assert turned.equal(pattern.T)
    assert (pattern[: size // 2] > 0).all() and (pattern[size // 2 :] < 0).all()
    if size % 2 == 0:
        peaks = pattern[: size // 2].flatten().argmax(), pattern[size // 2 :].flatten().argmin()
        assert peaks[0] == peaks[1]


@pytest.mark.parametrize("name", ["l1", "l2"])
def test_pattern_of_seven_by_hand(name):
    # The lower half of size 7 is 4 x 7 around row 2, column 3: 1 + 1/4 + 1/9 + 1/16 in the middle, the tail outwards.
    lower = -_patterns(7, name)[0][3:]
    terms = torch.tensor([1, 1 / 4, 1 / 9, 1 / 16]) ** (2 if name == "l1" else 1)
    tails = terms.flip(0).cumsum(0).flip(0)
    torch.testing.assert_close(lower[2, 3:] / lower[2, 3], tails / tails[0])
    torch.testing.assert_close(lower[:, 3] / lower[2, 3], tails[[2, 1, 0, 1]] / tails[0])


def test_unknown_norm_lists_the_known():
    model, x, y = subject()
    with pytest.raises(ValueError, match=r"unknown norm 'l3'.*l2"):
        attack(model, x, y, "l3", 0.1)
