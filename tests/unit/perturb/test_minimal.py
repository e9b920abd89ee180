"""DDN and FMN: exact distances on linear models, those of foolbox on a network, and nothing beyond eps."""

import foolbox
import pytest
import torch
from torch import nn

from mettle import models
from mettle.perturb import ATTACKS, Draws, norm
from mettle.perturb.goal import untargeted
from mettle.perturb.projections import onto_hyperplane
from robust import RowByRow

CPU = models.policy(1)
SHAPE = (3, 8, 8)
CASES = [("ddn", "l2"), ("fmn", "l1"), ("fmn", "l2"), ("fmn", "linf")]
FAR = {"l1": 192.0, "l2": 14.0, "linf": 1.0}  # as far as the pixel range goes


def images(n=16, seed=0, low=0.0, high=1.0):
    return low + (high - low) * torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def small_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10))


def run(method, model, x, y, name, eps=None, ids=None, **options):
    given = {"norm": name, "eps": FAR[name] if eps is None else eps, "draws": Draws(0, ids or range(len(x)))}
    found, queries = ATTACKS[method].run(model, x, untargeted(y), **given, policy=CPU, **options)
    return found, norm(name).distance(found.double() - x.double()), queries


@pytest.mark.parametrize(("method", "name"), CASES)
def test_distance_to_the_hyperplane_of_a_linear_model(method, name):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), images(low=0.3, high=0.7)
    y = model(x).argmax(1)
    found, distance, _ = run(method, model, x, y, name, steps=300)
    assert (model(found).argmax(1) != y).all()
    logits, weight = model(x).detach(), model[1].weight.detach()
    slope = (weight[None] - weight[y][:, None]).gather(1, (1 - y)[:, None, None].expand(-1, 1, 192))[:, 0]
    gap = logits.gather(1, y[:, None])[:, 0] - logits.gather(1, (1 - y)[:, None])[:, 0]
    exact = norm(name).distance(onto_hyperplane(x.flatten(1), slope, gap, name))
    if name != "l1":  # no pixel reaches the border
        torch.testing.assert_close(exact, (gap / norm(name).dual(slope)).double())
    assert (distance >= exact * (1 - 1e-5)).all()
    assert (distance <= exact * (1.1 if name == "l1" else 1.02)).all()


PEERS = {
    ("ddn", "l2"): foolbox.attacks.DDNAttack,
    ("fmn", "l1"): foolbox.attacks.L1FMNAttack,
    ("fmn", "linf"): foolbox.attacks.LInfFMNAttack,
}


@pytest.mark.parametrize(("method", "name"), PEERS)
def test_as_near_as_the_published_code(method, name):
    # In L2 FMN of foolbox projects onto nothing, so it is no peer there.
    model, x = small_net(), images(64)
    y = model(x).argmax(1)
    found, distance, _ = run(method, model, x, y, name)
    peer = PEERS[method, name](steps=100)
    _, theirs, _ = peer(foolbox.PyTorchModel(model.eval(), bounds=(0, 1), device="cpu"), x, y, epsilons=None)
    fooled, expected = model(found).argmax(1) != y, model(theirs).argmax(1) != y
    assert fooled.all() and expected.float().mean() > 0.75
    ratio = (distance / norm(name).distance(theirs.double() - x.double()))[expected]
    assert ratio.median().item() == pytest.approx(1, abs=0.03)
    assert ratio.quantile(0.9) < 1.1


def test_in_l2_fmn_is_no_farther_than_ddn():
    model, x = small_net(), images(64)
    y = model(x).argmax(1)
    ratio = run("fmn", model, x, y, "l2")[1] / run("ddn", model, x, y, "l2")[1]
    assert ratio.median() <= 1.03


@pytest.mark.parametrize(("method", "name"), CASES)
def test_what_comes_back_fools_within_eps_or_is_the_image_itself(method, name):
    model, x = small_net(), images(48).mul(3).sub(1).clamp(0, 1)
    y = model(x).argmax(1)
    y[:4] = (y[:4] + 1) % 10
    far = run(method, model, x, y, name)[1]
    eps = far[4:].median().item()
    found, distance, queries = run(method, model, x, y, name, eps, steps=50)
    fooled = model(found).argmax(1) != y
    assert found[:4].equal(x[:4]) and (distance[:4] == 0).all() and (queries[:4] == 1).all()
    assert 8 < fooled[4:].sum() < 40
    assert (distance <= eps).all() and found.min() >= 0 and found.max() <= 1
    assert (distance[4:] > 0).equal(fooled[4:])
    assert (queries[4:] == 1 + 50 + 1).all()
    assert run(method, model, x, y, name, 0.0, steps=3)[0].equal(x)


@pytest.mark.parametrize(("method", "name"), CASES)
def test_batches_do_not_matter(method, name):
    model, x = RowByRow(SHAPE), images(12)
    y = model(x).argmax(1)
    whole, _, spent = run(method, model, x, y, name, steps=20)
    parts = [run(method, model, x[i], y[i], name, ids=i.tolist(), steps=20) for i in torch.arange(12).split(5)]
    torch.testing.assert_close(torch.cat([part for part, _, _ in parts]), whole, rtol=0, atol=1e-4)
    assert torch.cat([queries for _, _, queries in parts]).equal(spent)


def test_a_zero_gradient_gives_no_nan_and_ddn_tries_at_random():
    class Flat(nn.Module):
        def forward(self, x):
            return torch.tensor([1.0, 0.5, 0.0]).expand(len(x), 3) + 0 * x.sum()

    x, y = images(3), torch.zeros(3, dtype=torch.long)
    for method, name in CASES:
        assert run(method, Flat(), x, y, name, steps=5)[0].equal(x)


def test_ddn_is_of_l2_only():
    with pytest.raises(ValueError, match=r"^ddn is an attack in l2, not in 'linf': take fmn$"):
        run("ddn", small_net(), images(2), torch.zeros(2, dtype=torch.long), "linf")
