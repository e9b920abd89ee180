"""Auto-PGD: the paper's schedule, the known optimum of linear models, and results that no other image changes."""

import pytest
import torch
from torch import nn

from mettle import models
from mettle.perturb import Draws, apgd, norm
from mettle.perturb.apgd import _parts
from mettle.perturb.ascents import Sparse, State, begin, checkpoints
from mettle.perturb.goal import targeted, untargeted
from mettle.perturb.losses import dlr, targeted_dlr
from mettle.perturb.norms import sparse_step

CPU = models.policy(1)
SHAPE = (3, 8, 8)
EVERY = torch.arange(64)


def images(n=16, seed=0, low=0.0, high=1.0):
    return low + (high - low) * torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def small_net(seed=0, classes=10):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, classes))


def linear(classes, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, classes))


def run(model, x, y, name="linf", eps=0.03, ids=None, **options):
    return apgd(
        model, x, untargeted(y), norm=name, eps=eps, draws=Draws(0, ids or range(len(x))), policy=CPU, **options
    )


def test_checkpoints_are_those_of_the_paper():
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    # The recursion with fractions, section 3.2: each interval is 0.03 shorter than the last, and at least 0.06.
    for steps in (1, 7, 20, 1000):
        fractions = [0, 22]
        while fractions[-1] < 100:
            fractions.append(fractions[-1] + max(fractions[-1] - fractions[-2] - 3, 6))
        rounded_up = {(fraction * steps + 99) // 100 for fraction in fractions[1:-1]}
        assert checkpoints(steps) == sorted(rounded_up)


def state(**other):
    n = 4
    zeros = torch.zeros(n, *SHAPE)
    filled = dict.fromkeys(("clean", "current", "previous", "gradient"), zeros)
    filled |= {"best": zeros + 0.5, "best_gradient": zeros + 2.0, "index": torch.arange(n)}
    filled |= {"value": torch.zeros(n), "best_value": torch.ones(n), "best_before": torch.zeros(n)}
    filled |= {"size": torch.ones(n), "rises": torch.zeros(n, dtype=torch.int64), "halved": torch.zeros(n).bool()}
    return State(**filled | other)


def test_steps_halve_under_either_condition_and_go_back_to_the_best():
    # Of 20 steps 15 must rise: 14 are too few. The third stands still, the fourth does so after it was just halved.
    found = state(
        rises=torch.tensor([15, 14, 20, 20]),
        best_before=torch.tensor([0.0, 0.0, 1.0, 1.0]),
        halved=torch.tensor([False, False, False, True]),
    )
    found.check(20)
    assert found.halved.tolist() == [False, True, True, False]
    assert found.size.tolist() == [1, 0.5, 0.5, 1]
    assert found.current[:, 0, 0, 0].tolist() == [0, 0.5, 0.5, 0]
    assert found.gradient[:, 0, 0, 0].tolist() == [0, 2, 2, 0]
    assert found.value.tolist() == [0, 1, 1, 0]
    assert found.best_before.tolist() == [1] * 4
    assert found.rises.tolist() == [0] * 4


@pytest.mark.parametrize("name", ["l2", "linf"])
def test_a_step_has_momentum_but_for_the_first(name):
    clean = images(4, low=0.4, high=0.6)
    generator = torch.Generator().manual_seed(1)
    gradient = torch.randn(clean.shape, generator=generator)
    previous = clean + 0.001 * torch.randn(clean.shape, generator=generator)
    direction = norm(name).step(gradient)
    for first, expected in (
        (True, clean + 0.01 * direction),
        (False, clean + 0.75 * 0.01 * direction + 0.25 * (clean - previous)),
    ):
        found = state(clean=clean, current=clean, previous=previous, gradient=gradient, size=torch.full((4,), 0.01))
        found.move(name, 10.0, first)
        torch.testing.assert_close(found.current, expected)
        assert found.previous.equal(clean)


def test_dlr_in_closed_form():
    logits = torch.tensor([[5.0, 3.0, 1.0, 0.0], [1.0, 4.0, 3.5, 2.0]])
    labels, targets, index = torch.tensor([0, 2]), torch.tensor([2, 3]), torch.arange(2)
    # Eq. 6: -(z_y - max other) / (first - third); eq. 7: -(z_y - z_t) / (first - (third + fourth) / 2).
    assert dlr(labels)(logits, index).tolist() == [-(5 - 3) / (5 - 1), -(3.5 - 4) / (4 - 2)]
    expected = [-(5 - 1) / (5 - 0.5), -(3.5 - 2) / (4 - 1.5)]
    torch.testing.assert_close(targeted_dlr(labels, targets)(logits, index), torch.tensor(expected))
    scaled = dlr(labels)(3 * logits + 7, index)
    torch.testing.assert_close(scaled, dlr(labels)(logits, index))  # neither shift nor scale matters
    assert targeted(targets).objective(logits, index).max() < 0


def gaps(model, x, y):
    """Largest other logit less the true one."""
    logits = model(x).detach()
    return logits.scatter(1, y[:, None], -torch.inf).amax(1) - logits.gather(1, y[:, None])[:, 0]


def best_gaps(model, x, y, name, eps):
    """The largest gap in a ball inside the pixel range, for a linear model."""
    weight, logits = model[1].weight.detach(), model(x).detach()
    away = weight[None] - weight[y][:, None]
    reach = away.norm(dim=2) if name == "l2" else away.abs().sum(2)
    return (logits - logits.gather(1, y[:, None]) + eps * reach).scatter(1, y[:, None], -torch.inf).amax(1)


@pytest.mark.parametrize("name", ["l2", "linf"])
def test_exact_on_a_linear_model_of_two_classes(name):
    model, x, eps = linear(2), images(low=0.3, high=0.7), 0.05
    y = model(x).argmax(1)
    attacked, _ = run(model, x, y, name, eps, early_stop=False, steps=50)
    torch.testing.assert_close(gaps(model, attacked, y), best_gaps(model, x, y, name, eps), rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", ["l2", "linf"])
def test_some_target_finds_every_mistake_of_a_linear_model(name):
    model, x = linear(4), images(64, low=0.3, high=0.7)
    y = model(x).argmax(1)
    eps = -gaps(model, x, y).median().item() / (0.8 if name == "l2" else 9)  # half of the images are within reach
    attacked, _ = run(model, x, y, name, eps, loss="dlr_targeted", steps=50)
    best = best_gaps(model, x, y, name, eps)
    clear = best.abs() > 0.01 * best.abs().max()
    assert clear.sum() > 50
    assert 5 < (best > 0).sum() < 59
    assert ((gaps(model, attacked, y) > 0) == (best > 0))[clear].all()


@pytest.mark.parametrize("name", ["l2", "linf"])
@pytest.mark.parametrize("loss", ["ce", "dlr", "dlr_targeted"])
def test_early_stop_gives_the_same_accuracy(name, loss):
    model, x, eps = small_net(), images(64), 0.25 if name == "l2" else 0.015
    y = model(x).argmax(1)
    y[:4] = (y[:4] + 1) % 10
    outcome = {}
    for early in (True, False):
        attacked, queries = run(model, x, y, name, eps, loss=loss, steps=15, early_stop=early)
        outcome[early] = model(attacked).argmax(1) != y, attacked, queries
    fooled, attacked, queries = outcome[True]
    assert 4 < fooled.sum() < 64
    assert attacked[:4].equal(x[:4]), "a misclassified image was changed"
    assert queries[:4].tolist() == [1] * 4
    # The largest loss need not be a mistake, but what is one with it is one by early stop.
    assert (fooled >= outcome[False][0]).all()
    assert fooled.sum() - outcome[False][0].sum() <= 2
    every = (9 if loss == "dlr_targeted" else 1) * 16 + 1
    assert outcome[False][2].tolist() == [every] * 64
    assert (queries <= every).all()


@pytest.mark.parametrize("name", ["l1", "l2", "linf"])
@pytest.mark.parametrize("loss", ["ce", "dlr_targeted"])
@pytest.mark.parametrize("early", [True, False])
def test_an_image_fares_the_same_in_any_company(name, loss, early):
    model, x = small_net(), images(24)
    y = model(x).argmax(1)
    options = {"loss": loss, "steps": 10, "targets": 3, "early_stop": early}
    options["eps"] = {"l1": 2.0, "l2": 0.3, "linf": 0.02}[name]
    whole, queries = run(model, x, y, name, **options)
    chosen = [17, 3, 8]
    part, spent = run(model, x[chosen], y[chosen], name, ids=chosen, **options)
    assert spent.equal(queries[chosen])
    torch.testing.assert_close(part, whole[chosen], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["l1", "l2", "linf"])
def test_more_restarts_never_help_the_defender(name):
    model, x = small_net(), images(64)
    y = model(x).argmax(1)
    eps = {"l1": 1.5, "l2": 0.2, "linf": 0.012}[name]
    fooled = [model(run(model, x, y, name, eps, steps=3, restarts=k)[0]).argmax(1) != y for k in (1, 4)]
    assert (fooled[1] >= fooled[0]).all()
    assert 0 < fooled[0].sum() < 64


@pytest.mark.parametrize("name", ["l1", "l2", "linf"])
@pytest.mark.parametrize("eps", [0.0, 0.013, 2.0])
def test_attacked_images_lie_inside_ball_and_pixel_range(name, eps):
    model, x = small_net(), images(16).mul(3).sub(1).clamp(0, 1)
    attacked, _ = run(model, x, torch.arange(16) % 10, name, eps, steps=4, early_stop=False)
    assert norm(name).distance(attacked.double() - x.double()).max() <= eps
    assert attacked.min() >= 0
    assert attacked.max() <= 1


def test_no_steps_and_one_image():
    model, x = small_net(), images(1)
    y = model(x).argmax(1)
    attacked, queries = run(model, x, y, steps=0)
    assert attacked.equal(x)
    assert queries.tolist() == [1]
    attacked, queries = run(model, x, y, steps=3, eps=1e-4)
    assert attacked.shape == x.shape
    assert queries.tolist() == [1 + 4]


@pytest.mark.parametrize(("loss", "classes", "needed"), [("dlr", 2, 3), ("dlr_targeted", 3, 4)])
def test_a_loss_that_needs_more_classes_says_so(loss, classes, needed):
    with pytest.raises(
        ValueError, match=rf"^loss {loss} needs {needed} classes or more, the model has {classes}: take"
    ):
        run(small_net(classes=classes), images(2), torch.zeros(2, dtype=torch.long), loss=loss)
    run(small_net(classes=needed), images(2), torch.zeros(2, dtype=torch.long), loss=loss, steps=2)


def test_an_unknown_loss_lists_the_known():
    with pytest.raises(ValueError, match=r"^unknown loss 'cw'; known: ce, dlr, dlr_targeted$"):
        run(small_net(), images(2), torch.zeros(2, dtype=torch.long), loss="cw")


def test_an_attack_leaves_the_model_as_it_was():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    run(model, images(8), torch.arange(8), steps=3)
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert model.training


# In L1


def test_a_run_in_l1_begins_in_wider_balls():
    assert _parts("l1", 4.0, 100) == [(12.0, 30), (8.0, 30), (4.0, 40)]
    assert _parts("l1", 4.0, 3) == [(4.0, 3)]
    assert _parts("l2", 4.0, 100) == [(4.0, 100)]
    # A forward pass for the image, then one more than its steps for each part.
    x, y = images(2), torch.zeros(2, dtype=torch.long)
    y = small_net()(x).argmax(1)
    assert run(small_net(), x, y, "l1", 1e-4, steps=20)[1].tolist() == [1 + 20 + 3] * 2


def test_a_sparse_step_has_the_signs_of_the_largest_coordinates():
    gradient = torch.tensor([[[[3.0, -5.0, 1.0, 0.5]]], [[[1.0, 1.0, -1.0, 0.0]]], [[[0.0] * 4]]])
    assert sparse_step(gradient, 0.5)[0].flatten().tolist() == [0.5, -0.5, 0, 0]
    assert sparse_step(gradient, 1e-9)[0].flatten().tolist() == [0, -1, 0, 0]
    share = torch.tensor([1.0, 0.25, 1.0])
    assert sparse_step(gradient, share)[0].flatten().tolist() == [0.25, -0.25, 0.25, 0.25]
    torch.testing.assert_close(sparse_step(gradient, share)[1].flatten(), torch.tensor([1.0, 1.0, -1.0, 0.0]) / 3)
    assert sparse_step(gradient, share)[2].abs().max() == 0


def test_the_step_in_l1_follows_the_sparsity_of_the_best_change():
    clean, value = torch.zeros(3, *SHAPE), torch.zeros(3)
    start = clean.clone()
    start.view(3, -1)[:, :100] = 0.01
    found = begin(torch.arange(3), clean, start, value, clean + 1, "l1", 2.0)
    assert isinstance(found, Sparse)
    torch.testing.assert_close(found.share, torch.full((3,), 100 / 192 / 1.5))
    found.best.view(3, -1)[0, 94:] = 0  # sparser by more than a twentieth; the second by less, the third not
    found.best.view(3, -1)[1, 96:] = 0
    found.current = start + 0.5
    found.size = torch.tensor([0.5, 2.0, 0.21])
    found.check(1)
    torch.testing.assert_close(found.size, torch.tensor([2.0, 2.0 / 1.5, 0.2]))  # a tenth of the radius at least
    torch.testing.assert_close(found.share, torch.tensor([94.0, 96.0, 100.0]) / 192 / 1.5)
    assert found.current[0].equal(found.best[0])
    assert found.current[1:].equal(start[1:] + 0.5)
    assert list(Sparse.due(100)) == list(range(4, 100, 4))


def test_exact_in_l1_on_a_linear_model():
    # The worst change spends the radius on the largest weights, each up to the border of the pixel range.
    model, x, eps = linear(2), images(low=0.3, high=0.7), 2.0
    y = model(x).argmax(1)
    attacked, _ = run(model, x, y, "l1", eps, early_stop=False, steps=100)
    weight = model[1].weight.detach()
    slope = (weight[None] - weight[y][:, None]).gather(1, (1 - y)[:, None, None].expand(-1, 1, 192))[:, 0]
    room, order = torch.where(slope > 0, 1 - x.flatten(1), x.flatten(1)), slope.abs().argsort(1, descending=True)
    rooms = room.gather(1, order)
    spent = torch.minimum((eps - rooms.cumsum(1) + rooms).clamp_min(0), rooms)
    gain = (spent * slope.abs().gather(1, order)).sum(1)
    torch.testing.assert_close(gaps(model, attacked, y) - gaps(model, x, y), gain, rtol=0.01, atol=0)
