"""AutoAttack: its composition, and image by image the same answers as the authors' implementation."""

import itertools
import math
import types

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from mettle import models, schema
from mettle.data import digits
from mettle.data.item import decode
from mettle.perturb import ATTACKS, Draws, autoattack, norm
from mettle.perturb.autoattack import STAGES, Stage
from mettle.perturb.goal import untargeted
from mettle.perturb.peer import pyautoattack
from mettle.stages.train.losses import LOSSES, Step

CPU = models.policy(1)
N = 100
# A standard network and two robust ones: training attack, then balls in which some images stand and some fall.
NETWORKS = {
    "standard": (None, {"linf": 0.02, "l2": 0.3, "l1": 2.0}),
    "robust_linf": ({"norm": "linf", "eps": 0.12, "steps": 2}, {"linf": 0.15, "l2": 1.2, "l1": 5.0}),
    "robust_l2": ({"norm": "l2", "eps": 1.0, "steps": 2}, {"linf": 0.1, "l2": 1.2, "l1": 10.0}),
}
SHORT = {"steps": 15, "targets": 2, "queries": 100}


def pictures(split, n):
    """Digits of 16x16 pixels."""
    items = list(itertools.islice(digits.read(None, split, 10, 0), n))
    x = torch.from_numpy(np.stack([decode(item.data) for item in items])).permute(0, 3, 1, 2).float() / 255
    return avg_pool2d(x, 2), torch.tensor([item.label for item in items])


def trained(attack):
    """Sixty steps of the project's own training losses."""
    base = schema.read_yaml("config/recipes/digits_eps0.yaml")
    robust = {"loss": "adversarial", "attack": attack} if attack else {}
    recipe = schema.check(base | robust, "recipe", "here")
    x, y = pictures("train", 1000)
    model = models.create("resnet8", 10, 16, [0.5] * 3, [0.25] * 3, 0).train()
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=60)
    generator = torch.Generator().manual_seed(0)
    for i in range(60):
        chosen = torch.randint(len(x), (64,), generator=generator)
        step = Step(0, 0.0, attack["eps"] if attack else 0.0, 10, Draws(i, range(64)), CPU, recipe)
        loss, _, _ = LOSSES[recipe["loss"]].run(model, x[chosen], y[chosen], step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return CPU.place(model.eval())


def standing(model, images, labels):
    with torch.no_grad():
        return model(images).argmax(1) == labels


def test_image_by_image_the_same_as_pyautoattack(record_property):
    x, y = pictures("test", N)
    x = CPU.move(x)
    ours, theirs = [], []
    for attack, balls in NETWORKS.values():
        model = trained(attack)
        for name, eps in balls.items():
            given = {"norm": name, "eps": eps, "draws": Draws(0, range(N)), "policy": CPU} | SHORT
            found, _ = autoattack(models.folded(model, x[:1]), x, untargeted(y), **given)
            peer, _ = pyautoattack("autoattack", model, x, untargeted(y), **given)
            ours.append(standing(model, found, y))
            theirs.append(standing(model, peer, y))
            assert 0.05 < theirs[-1].float().mean() < 0.95, "the ball tells nothing"
    ours, theirs = torch.stack(ours), torch.stack(theirs)
    differ = ours != theirs
    record_property("differ", int(differ.sum()))
    assert (differ.view(3, -1).float().mean(1) <= 0.01).all()
    # Both draw: images that one of them alone fools fall to either like coins, within two standard deviations.
    weaker = int(ours.sum() - theirs.sum())
    assert weaker <= 2 * math.sqrt(int(differ.sum())), "where they differ, ours is weaker more often than by chance"


def small_net(classes=10):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, classes))


def images(n=40):
    return torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def run(model, x, y, name="linf", eps=0.012, **options):
    given = {"steps": 5, "targets": 3, "queries": 20} | options
    return autoattack(model, x, untargeted(y), norm=name, eps=eps, draws=Draws(0, range(len(x))), policy=CPU, **given)


def test_the_standard_version():
    assert list(STAGES) == ["apgd_ce", "apgd_t", "fab_t", "square"]
    filled = schema.check({"method": "autoattack", "norm": "l2", "eps": 1}, "attacks/autoattack", "here")
    expected = {"attacks": list(STAGES), "steps": 100, "targets": 9, "queries": 5000}
    assert {key: filled[key] for key in expected} == expected


def test_the_version_of_l1():
    # Section 5 of Croce & Hein 2021: APGD has five starts, APGD-T five targets, and the others are as in other norms.
    given = {"steps": 100, "targets": 9, "queries": 5000}
    assert STAGES["apgd_ce"].options("l1", given) == {"loss": "ce", "steps": 100, "restarts": 5}
    assert STAGES["apgd_t"].options("l1", given) == {"loss": "dlr_targeted", "steps": 100, "targets": 5}
    assert STAGES["apgd_t"].options("l1", given | {"targets": 2})["targets"] == 2
    for name in ("fab_t", "square"):
        assert STAGES[name].options("l1", given) == STAGES[name].options("l2", given)
    assert STAGES["apgd_ce"].options("l2", given) == {"loss": "ce", "steps": 100}


def test_each_attack_gets_what_still_stands(monkeypatch):
    model, x, seen = small_net(), images(), {}
    y = model(x).argmax(1)
    y[0] = (y[0] + 1) % 10
    for name, stage in STAGES.items():

        def spy(model, images, goal, *, draws, name=name, stage=stage, **rest):
            seen[name] = draws.ids.tolist()
            return stage.run(model, images, goal, draws=draws, **rest)

        monkeypatch.setitem(STAGES, name, Stage(spy, stage.fixed, stage.takes))
    attacked, queries = run(model, x, y, attacks=list(STAGES))
    assert list(seen) == list(STAGES)
    assert seen["apgd_ce"] == list(range(1, 40))
    for before, after in itertools.pairwise(seen.values()):
        assert set(after) <= set(before)
    left = standing(model, attacked, y)
    assert set(left.nonzero()[:, 0].tolist()) <= set(seen["square"])
    assert 0 < left.sum() < 39
    assert attacked[0].equal(x[0])
    assert queries[0] == 1
    # One pass each to begin with and after each attack; with it APGD, on the cross-entropy and towards three classes.
    least = 1 + (1 + 6 + 1) + (1 + 3 * 6 + 1)
    assert (queries[left] > least).all()


def test_no_attack_undoes_another():
    model, x = small_net(), images()
    y = model(x).argmax(1)
    together, _ = run(model, x, y, attacks=["apgd_ce", "fab_t"])
    alone = [run(model, x, y, attacks=[name])[0] for name in ("apgd_ce", "fab_t")]
    left = standing(model, together, y)
    assert left.equal(standing(model, alone[0], y) & standing(model, alone[1], y))
    loss = nn.functional.cross_entropy
    with torch.no_grad():
        found, first = (loss(model(z), y, reduction="none")[left] for z in (together, alone[0]))
    assert (found >= first - 1e-6).all(), "of two attacks that fail, the better counts"


@pytest.mark.parametrize("name", ["l1", "l2", "linf"])
def test_an_image_fares_the_same_in_any_company(name):
    model, x = small_net(), images()
    y, eps = model(x).argmax(1), {"l1": 1.5, "l2": 0.2, "linf": 0.012}[name]
    whole, queries = run(model, x, y, name, eps)
    chosen = [30, 2, 11]
    draws, short = Draws(0, chosen), {"steps": 5, "targets": 3, "queries": 20}
    part, spent = autoattack(
        model, x[chosen], untargeted(y[chosen]), norm=name, eps=eps, draws=draws, policy=CPU, **short
    )
    assert spent.equal(queries[chosen])
    torch.testing.assert_close(part, whole[chosen], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["l1", "l2", "linf"])
@pytest.mark.parametrize("engine", ["mettle", "pyautoattack"])
@pytest.mark.parametrize("method", ["apgd", "fab", "square", "autoattack"])
def test_every_member_and_engine_stays_inside_and_draws_from_the_seed(method, engine, name):
    model, x = small_net(), images(12)
    y, eps = model(x).argmax(1), {"l1": 1.5, "l2": 0.2, "linf": 0.012}[name]
    short = {"apgd": {"steps": 3}, "fab": {"steps": 3, "targets": 2}, "square": {"queries": 10}, "autoattack": SHORT}
    attack = ATTACKS[method].run if engine == "mettle" else types.MethodType(pyautoattack, method)
    before = torch.random.get_rng_state()
    found = []
    for seed in (0, 0, 1):
        given = {"norm": name, "eps": eps, "draws": Draws(seed, range(12)), "policy": CPU}
        attacked, _ = attack(model, x, untargeted(y), **given, **short[method])
        assert norm(name).distance(attacked.double() - x.double()).max() <= eps
        assert attacked.min() >= 0
        assert attacked.max() <= 1
        found.append(attacked)
    assert found[0].equal(found[1])
    if method == "apgd" or (method, engine) == ("square", "mettle"):  # the package returns successes only
        assert not found[0].equal(found[2])
    assert torch.random.get_rng_state().equal(before)


def test_few_classes_take_fewer_targets():
    model, x = small_net(classes=4), images(8)
    y = model(x).argmax(1)
    many, queries = run(model, x, y, eps=1e-4, targets=9)
    few, spent = run(model, x, y, eps=1e-4, targets=3)
    assert many.equal(few)
    assert queries.equal(spent)


def test_too_few_classes_say_so():
    with pytest.raises(
        ValueError, match=r"^loss dlr_targeted needs 4 classes or more, the model has 3: take ce, in auto"
    ):
        run(small_net(classes=3), images(4), torch.zeros(4, dtype=torch.long), eps=1e-4)
