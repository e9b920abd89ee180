"""FAB: exact on linear models, never outside the ball, and all that the published code finds."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mettle import models
from mettle.perturb import Draws, norm
from mettle.perturb.fab import fab
from mettle.perturb.goal import untargeted
from mettle.perturb.projections import onto_hyperplane
from robust import RADII, RowByRow, robust

CPU = models.Policy(torch.device("cpu"))
NORMS = ["l1", "l2", "linf"]
SHAPE = (3, 8, 8)


def linear(classes=4, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, classes))


def small_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10))


def images(n=16, seed=0, low=0.0, high=1.0):
    return low + (high - low) * torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def attack(model, x, y, name, eps, ids=None, **options):
    return fab(model, x, untargeted(y), norm=name, eps=eps, draws=Draws(0, ids or range(len(x))), policy=CPU, **options)


def borders(model, x, y, name):
    """Distance to the border with every other class, (n, classes); infinity for the own.

    In closed form; in L1, where single pixels go to the border of the pixel range, by the projection.
    """
    logits, weights = model(x).detach(), model[1].weight.detach()
    normals = weights[None] - weights[y][:, None]
    dual = norm(name).dual(normals.flatten(0, 1)).view(normals.shape[:2])
    gaps = logits.gather(1, y[:, None]) - logits
    distances = gaps / dual
    if name == "l1":
        points = x.flatten(1).repeat_interleave(logits.shape[1], 0)
        moves = onto_hyperplane(points, normals.flatten(0, 1), gaps.flatten(), name)
        distances = norm(name).distance(moves).float().view_as(gaps)
    return distances.scatter(1, y[:, None], torch.inf)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("classes", [2, 4])
def test_a_linear_model_is_fooled_from_the_closed_form_on(name, classes):
    model, x = linear(classes), images(low=0.4, high=0.6)
    y = model(x).argmax(1)
    nearest = borders(model, x, y, name).amin(1)
    for row in range(len(x)):
        one, label, distance = x[row : row + 1], y[row : row + 1], nearest[row].item()
        inside, _ = attack(model, one, label, name, distance * 1.0005, steps=20)
        outside, _ = attack(model, one, label, name, distance * 0.9995, steps=20)
        assert model(inside).argmax(1) != label
        assert outside.equal(one)


@pytest.mark.parametrize("name", NORMS)
def test_targets_are_the_likeliest_classes_and_at_most_all_others(name):
    model, x = linear(4), images(32, low=0.4, high=0.6)
    y = model(x).argmax(1)
    distances = borders(model, x, y, name)
    eps = distances.amin(1).sort().values[15:17].mean().item()  # between two images: at none's border
    first = model(x).scatter(1, y[:, None], -torch.inf).argmax(1)
    near = distances.gather(1, first[:, None])[:, 0] < eps
    fooled = [model(attack(model, x, y, name, eps, steps=20, targets=k)[0]).argmax(1) != y for k in (0, 1, 3, 9)]
    assert not fooled[0].any()
    assert fooled[1][near].all() and not fooled[2].equal(torch.zeros_like(y, dtype=torch.bool))
    assert fooled[2].equal(distances.amin(1) < eps)
    assert fooled[3].equal(fooled[2])


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(NORMS),
    eps=st.floats(0, 2.0),
    seed=st.integers(0, 2**31),
    steps=st.integers(0, 4),
    restarts=st.integers(1, 2),
)
def test_attacked_images_lie_inside_ball_and_pixel_range(name, eps, seed, steps, restarts):
    model, x = small_net(seed % 5), images(6, seed).mul(3).sub(1).clamp(0, 1)
    y = model(x).argmax(1)
    attacked, queries = attack(model, x, y, name, eps, steps=steps, restarts=restarts, targets=3)
    assert (norm(name).distance(attacked.double() - x.double()) <= eps).all()
    assert attacked.min() >= 0 and attacked.max() <= 1
    moved = (attacked != x).flatten(1).any(1)
    assert moved.equal(model(attacked).argmax(1) != y)
    assert queries.max() <= 1 + 3 * restarts * (2 * steps + 1)


@pytest.mark.parametrize("name", NORMS)
def test_published_code_finds_nothing_more(name):
    from pyautoattack.fab_pt import FABAttack_PT

    model, x, y = robust(name)
    x, y = x[:100], y[:100]
    eps = 1.5 * RADII[name]
    ours, _ = attack(model, x, y, name, eps, steps=8, targets=3)
    peer = FABAttack_PT(
        model,
        norm=name.capitalize(),
        n_iter=8,
        eps=eps,
        targeted=True,
        n_target_classes=3,
        device="cpu",
    )
    fooled, expected = model(ours).argmax(1) != y, model(peer.perturb(x, y)).argmax(1) != y
    assert 15 < fooled.sum() < 85
    assert (fooled != expected).sum() <= 2
    assert fooled.sum() >= expected.sum()


@pytest.mark.parametrize("name", NORMS)
def test_batches_do_not_matter(name):
    model, x = RowByRow(SHAPE), images(24)
    y = model(x).argmax(1)
    eps, options = {"l1": 2.0, "l2": 0.25, "linf": 0.02}[name], {"steps": 6, "targets": 2, "restarts": 2}
    whole, spent = attack(model, x, y, name, eps, **options)
    for size in (1, 7):
        parts = [
            attack(model, x[index], y[index], name, eps, ids=index.tolist(), **options)
            for index in torch.arange(24).split(size)
        ]
        assert torch.cat([part for part, _ in parts]).equal(whole)
        assert torch.cat([queries for _, queries in parts]).equal(spent)
    assert 0 < (model(whole).argmax(1) != y).sum() < 24


@pytest.mark.parametrize("name", NORMS)
def test_restarts_never_help_the_defender(name):
    model, x = small_net(), images(32)
    y = model(x).argmax(1)
    eps = {"l1": 1.0, "l2": 0.25, "linf": 0.015}[name]
    fooled = [model(attack(model, x, y, name, eps, steps=3, restarts=k)[0]).argmax(1) != y for k in (1, 4)]
    assert 0 < fooled[0].sum() < 32
    assert (fooled[1] | ~fooled[0]).all()


def test_an_image_leaves_when_fooled_and_a_wrong_one_is_left_alone():
    model, x = small_net(), images(24)
    y = model(x).argmax(1)
    y[:4] = (y[:4] + 1) % 10
    attacked, queries = attack(model, x, y, "l2", 0.3, steps=10)
    fooled = model(attacked).argmax(1) != y
    assert attacked[:4].equal(x[:4])
    assert (queries[:4] == 1).all()
    # A pass to find the label, two per step, one for the point brought into the ball; at most nine classes.
    assert (queries[~fooled] == 1 + 9 * (2 * 10 + 1)).all()
    assert (queries[fooled] < 1 + 9 * (2 * 10 + 1)).all()
    assert 4 < fooled.sum() < 24


@pytest.mark.parametrize("name", NORMS)
def test_zero_gradient_moves_nothing(name):
    class Constant(nn.Module):
        def forward(self, x):
            return torch.tensor([1.0, 0.5, 0.0]).expand(len(x), 3) + 0 * x.sum()

    x = images(3)
    attacked, _ = attack(Constant(), x, torch.zeros(3, dtype=torch.long), name, 1.0, steps=3)
    assert attacked.equal(x)


def test_success_is_what_the_exact_model_says():
    exact, x = small_net(), images(32)
    fast = copy.deepcopy(exact)
    fast[3].bias.data += 0.02 * torch.randn(10, generator=torch.Generator().manual_seed(0))
    y = exact(x).argmax(1)
    attacked, _ = attack(models.Folded(fast, exact), x, y, "l2", 0.3, steps=10)
    moved = (attacked != x).flatten(1).any(1)
    assert 0 < moved.sum() < 32
    assert moved.equal(exact(attacked).argmax(1) != y)


def test_model_is_left_as_it_was():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    attack(model, images(8), torch.arange(8), "linf", 0.1, steps=3)
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
    assert model.training and all(p.requires_grad and p.grad is None for p in model.parameters())


def test_unknown_norm_lists_the_known():
    with pytest.raises(ValueError, match=r"unknown norm 'l3'.*l2"):
        attack(small_net(), images(2), torch.zeros(2, dtype=torch.long), "l3", 0.1)
