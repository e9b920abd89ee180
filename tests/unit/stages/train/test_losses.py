"""Training losses: their values, and that an attack leaves the model as it was."""

import copy
import dataclasses
import types

import pytest
import torch
import torch.nn.functional as F

from mettle import models, schema
from mettle.perturb import Draws, norm, pgd, pgd_last
from mettle.perturb.goal import targeted, untargeted
from mettle.perturb.pgd import uniform_start
from mettle.stages.train import LOSSES, Loss, Step, by_epoch, losses

CPU = models.policy(1)
BF16 = models.Policy(torch.device("cpu"), "bf16")
ATTACK = {"norm": "l2", "eps": 0.5, "steps": 3}
ATTACKED = ("adversarial", "trades")


def model(seed=0):
    return models.create("resnet8", 10, 32, [0.5] * 3, [0.25] * 3, seed).train()


def batch(n=8, views=1):
    generator, shape = torch.Generator().manual_seed(1), (n, 3, 32, 32) if views == 1 else (n, views, 3, 32, 32)
    return torch.rand(shape, generator=generator), torch.randint(10, (n,), generator=generator)


def step(seed=3, policy=CPU, beta=6, label_smoothing=0.0, n=8, **attack):
    head = {"epochs": 1, "batch_size": 8, "optimizer": {"name": "sgd", "lr": 1, "weight_decay": 0}}
    head |= {"schedule": {"name": "cosine"}, "input": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3}}
    head |= {"attack": ATTACK | attack, "label_smoothing": label_smoothing, "beta": beta}
    recipe = schema.check(head, "recipe", "here")
    return Step(5, 5.25, recipe["attack"]["eps"], 10, Draws(seed, range(n)), policy, recipe)


def statistics(net):
    return {key: value.clone() for key, value in net.named_buffers()}


def distances(moved, images, name):
    return norm(name).distance(moved.double() - images.double())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_standard_is_cross_entropy_of_clean_images(smoothing):
    net, (x, y) = model(), batch()
    twin = copy.deepcopy(net)
    loss, clean, attacked = LOSSES["standard"].run(net, x, y, step(label_smoothing=smoothing))
    logits = twin(x)
    assert attacked is None
    assert torch.equal(clean, logits)
    assert torch.equal(loss, F.cross_entropy(logits, y, label_smoothing=smoothing))
    # Closed form of the smoothed loss: its share goes to all classes alike.
    log = logits.log_softmax(1)
    expected = -(1 - smoothing) * log.gather(1, y[:, None]).mean() - smoothing * log.mean()
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("name", [*LOSSES])
def test_a_class_is_the_distribution_with_all_mass_there(name, smoothing):
    (x, y), here = batch(views=LOSSES[name].views), step(label_smoothing=smoothing)
    found = [LOSSES[name].run(model(), x, given, here)[0] for given in (y, F.one_hot(y, 10).float())]
    torch.testing.assert_close(*found)


def test_bce_in_closed_form():
    net, (x, y) = model(), batch()
    loss, clean, _ = LOSSES["bce"].run(net, x, y, step(label_smoothing=0.1))
    chance = clean.sigmoid()
    wanted = torch.full((8, 10), 0.01).scatter(1, y[:, None], 0.91)
    torch.testing.assert_close(loss, -(wanted * chance.log() + (1 - wanted) * (1 - chance).log()).mean())


def test_jsd_adds_the_divergence_of_the_views_to_the_cross_entropy_of_the_clean_ones():
    net, (x, y), here = model(), batch(views=3), step(label_smoothing=0.1)
    loss, clean, attacked = LOSSES["jsd"].run(copy.deepcopy(net), x, y, here)
    logits = net(torch.cat([x[:, view] for view in range(3)])).split(8)  # BatchNorm sees all views together
    torch.testing.assert_close(clean, logits[0])
    assert attacked is None
    entropy = lambda p: -(p * p.log()).sum(1)  # noqa: E731
    chances = [one.softmax(1).double() for one in logits]
    divergence = entropy(sum(chances) / 3) - sum(map(entropy, chances)) / 3
    assert (divergence > 1e-4).all()
    expected = F.cross_entropy(logits[0], y, label_smoothing=0.1) + 12 * divergence.mean()
    torch.testing.assert_close(loss.double(), expected.double(), atol=1e-5, rtol=1e-5)


def test_jsd_of_equal_views_is_cross_entropy_and_certain_views_stay_finite():
    net, (x, y) = model().eval(), batch()
    same = x[:, None].expand(-1, 3, -1, -1, -1)
    torch.testing.assert_close(LOSSES["jsd"].run(net, same, y, step())[0], F.cross_entropy(net(x), y))
    with torch.no_grad():
        net.network.fc.weight *= 1e4  # chances of exactly 0 and 1
    x, y = batch(views=3)
    loss = LOSSES["jsd"].run(net, x, y, step())[0]
    loss.backward()
    assert torch.isfinite(loss) and all(torch.isfinite(p.grad).all() for p in net.parameters())


# Attacks


@pytest.mark.parametrize("best", [True, False])
@pytest.mark.parametrize("random_start", [True, False])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_adversarial_is_larger_than_clean(norm, random_start, best):
    # In evaluation mode, as the attack sees the model: there more loss is what it was asked for.
    net, (x, y) = model().eval(), batch()
    eps = 0.5 if norm == "l2" else 0.02
    loss, clean, attacked = LOSSES["adversarial"].run(
        net, x, y, step(norm=norm, eps=eps, random_start=random_start, best=best)
    )
    assert clean is None
    assert torch.equal(loss, F.cross_entropy(attacked, y))
    assert loss > F.cross_entropy(net(x), y) + 1e-3


def test_adversarial_trains_on_the_attacked_images_only():
    net, (x, y) = model(), batch()
    options = {"norm": "l2", "eps": 0.5, "steps": 3, "step_size": 1.5 * 0.5 / 3, "policy": CPU}
    for best in (True, False):
        twin = copy.deepcopy(net)
        if best:
            images, _ = pgd(twin, x, untargeted(y), draws=Draws(3, range(8)), random_start=False, **options)
        else:
            images = pgd_last(twin, x, untargeted(y), **options)
        loss, _, logits = LOSSES["adversarial"].run(copy.deepcopy(net), x, y, step(best=best, random_start=False))
        assert torch.equal(logits, twin(images))
        assert torch.equal(loss, F.cross_entropy(twin(images), y))
        assert not torch.allclose(images, x)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("options", [{"random_start": False}, {"best": True}, {"target": "random"}, {}])
@pytest.mark.parametrize("make", ["attacked", "diverging"])
def test_attacked_images_are_in_the_ball_and_in_the_pixel_range(make, options, norm):
    net, (x, y) = model(), batch()
    x[:4] = x[:4].round()  # on the border of the pixel range
    here = step(norm=norm, eps=0.03, **options)
    moved = losses.attacked(net, x, y, here) if make == "attacked" else losses.diverging(net, x, here)
    far = distances(moved, x, norm)
    assert (far <= 0.03 + 1e-6).all()
    assert (far > 0.01).all()
    assert moved.min() >= 0
    assert moved.max() <= 1


@pytest.mark.parametrize("name", ATTACKED)
def test_at_radius_0_images_are_clean(name):
    (x, y), here = batch(), step()
    loss, _, logits = LOSSES[name].run(model().eval(), x, y, dataclasses.replace(here, eps=0.0))
    assert torch.equal(logits, model().eval()(x))
    torch.testing.assert_close(loss, F.cross_entropy(model().eval()(x), y))


@pytest.mark.parametrize(("tie", "expected"), [(True, 0.005), (False, 0.01)])
def test_the_step_follows_the_radius_of_now_if_asked(tie, expected):
    net, (x, y) = model().eval(), batch()
    here = step(norm="linf", eps=0.1, steps=1, step_size=0.01, random_start=False, tie_step_size=tie)
    moved = losses.attacked(net, x, y, dataclasses.replace(here, eps=0.05))
    torch.testing.assert_close(distances(moved, x, "linf"), torch.full((8,), expected).double(), rtol=1e-4, atol=0)


def test_the_radius_of_now_bounds_the_attack():
    net, (x, y) = model().eval(), batch()
    here = dataclasses.replace(step(norm="linf", eps=0.1, steps=1, best=False), eps=0.05)  # the step is 0.15
    far = distances(losses.attacked(net, x, y, here), x, "linf")
    torch.testing.assert_close(far, torch.full((8,), 0.05).double(), rtol=1e-5, atol=0)


def test_a_target_is_never_the_true_class_and_every_other_is_drawn(monkeypatch):
    seen, n = [], 400
    monkeypatch.setattr(losses, "targeted", lambda targets: seen.append(targets) or targeted(targets))
    y = torch.arange(n) % 10
    losses.attacked(model(), torch.rand(n, 3, 32, 32), y, step(n=n, target="random", best=False, steps=1))
    assert set(((seen[0] - y) % 10).tolist()) == set(range(1, 10))


@pytest.mark.parametrize("best", [True, False])
def test_a_targeted_attack_moves_towards_its_targets(best):
    net, (x, y) = model().eval(), batch()
    here = step(target="random", best=best, eps=2.0)
    goals = (y + 1 + here.draws.integers(9, (), "target")) % 10
    moved = losses.attacked(net, x, y, here)
    assert F.cross_entropy(net(moved), goals) < F.cross_entropy(net(x), goals) - 1e-3


# TRADES


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("beta", [0, 6])
def test_trades_in_closed_form(beta, smoothing):
    net, (x, y) = model(), batch()
    here = step(beta=beta, label_smoothing=smoothing)
    twin = copy.deepcopy(net)
    loss, clean, robust = LOSSES["trades"].run(net, x, y, here)
    moved = losses.diverging(twin, x, here)
    assert torch.equal(clean, twin(x))
    assert torch.equal(robust, twin(moved))
    p, q = clean.softmax(1), robust.softmax(1)
    expected = F.cross_entropy(clean, y, label_smoothing=smoothing) + beta * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(loss, expected)
    for value in (clean, robust):  # the gradient goes through both
        (gradient,) = torch.autograd.grad(loss, value, retain_graph=True)
        assert (gradient.abs().max() > 0) == (beta > 0 or value is clean)


def test_the_attack_of_trades_goes_by_the_divergence_and_not_by_the_class():
    net, (x, _) = model().eval(), batch()

    def apart(images):
        return F.kl_div(net(images).log_softmax(1), net(x).softmax(1), reduction="batchmean")

    noise = (x + 0.001 * Draws(3, range(8)).normal(x.shape[1:], "start")).clamp(0, 1)
    one, many = (losses.diverging(net, x, step(steps=k, random_start=False)) for k in (1, 5))
    assert apart(noise) < apart(one) < apart(many)
    assert apart(losses.diverging(net, x, step(random_start=True))) > 10 * apart(noise)


def test_without_a_random_start_trades_starts_at_the_small_gaussian_noise_of_its_paper():
    net, (x, _) = model().eval(), batch()
    start = losses.diverging(net, x, step(step_size=1e-12, eps=10.0, random_start=False)) - x
    inside = start[x.sub(0.5).abs() < 0.4]
    assert inside.std() == pytest.approx(0.001, rel=0.02)
    assert inside.abs().max() < 0.006


def test_with_a_random_start_trades_starts_uniformly_in_the_ball():
    net, (x, _) = model().eval(), batch()
    here = step(norm="linf", eps=0.1, step_size=1e-12)
    assert here.recipe["attack"]["random_start"] and not here.recipe["attack"]["best"], "the defaults"
    start = losses.diverging(net, x, here)
    torch.testing.assert_close(start, uniform_start(x, "linf", 0.1, here.draws), rtol=0, atol=1e-6)
    inside = (start - x)[x.sub(0.5).abs() < 0.4]
    assert inside.std() == pytest.approx(0.2 / 12**0.5, rel=0.02)


# The model is left as it was


@pytest.mark.parametrize("best", [True, False])
def test_only_the_training_pass_updates_batchnorm(best):
    net, (x, y) = model(), batch()
    before = statistics(net)
    _, _, logits = LOSSES["adversarial"].run(net, x, y, step(best=best))
    after = statistics(net)
    assert {int(value) for key, value in after.items() if key.endswith("num_batches_tracked")} == {1}
    assert not torch.equal(after["network.stem.1.running_mean"], before["network.stem.1.running_mean"])
    twin = model()
    images = losses.attacked(twin, x, y, step(best=best))
    assert all(torch.equal(value, before[key]) for key, value in statistics(twin).items()), "the attack moved them"
    assert torch.equal(twin(images), logits)
    assert all(torch.equal(value, after[key]) for key, value in statistics(twin).items())


@pytest.mark.parametrize("random_start", [True, False])
def test_the_attack_of_trades_leaves_batchnorm_alone(random_start):
    net, (x, y) = model(), batch()
    before = statistics(net)
    losses.diverging(net, x, step(random_start=random_start))
    assert all(torch.equal(value, before[key]) for key, value in statistics(net).items())
    LOSSES["trades"].run(net, x, y, step(random_start=random_start))
    assert int(net.network.stem[1].num_batches_tracked) == 2, "clean and attacked images, each once"


@pytest.mark.parametrize("name", ATTACKED)
def test_an_attack_leaves_modes_flags_and_gradients_alone(name):
    net, (x, y) = model(), batch()
    net.network.fc.bias.requires_grad_(False)
    loss, _, _ = LOSSES[name].run(net, x, y, step())
    assert all(module.training for module in net.modules())
    assert [name for name, value in net.named_parameters() if not value.requires_grad] == ["network.fc.bias"]
    assert all(parameter.grad is None for parameter in net.parameters())
    loss.backward()
    assert net.network.fc.weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", ATTACKED)
def test_a_random_start_depends_on_the_draws_alone(name):
    (x, y), found = batch(), {}
    for key, seed, noise in (("first", 3, 0), ("again", 3, 1), ("other", 4, 0)):
        torch.manual_seed(noise)
        found[key] = LOSSES[name].run(model(), x, y, step(seed, random_start=True))[0]
    assert torch.equal(found["first"], found["again"])
    assert not torch.equal(found["first"], found["other"])


def test_the_recipe_is_not_changed():
    here = step(random_start=True, best=False)
    before = copy.deepcopy(here.recipe)
    for loss in LOSSES.values():
        x, y = batch(views=loss.views)
        loss.run(model(), x, y, here)
    assert here.recipe == before


# Precision


@pytest.mark.parametrize("name", [*LOSSES])
def test_losses_are_fp32_under_bf16(name):
    net, (x, y) = model(), batch(views=LOSSES[name].views)
    loss, clean, attacked = LOSSES[name].run(net, x, y, step(policy=BF16))
    assert loss.dtype == torch.float32
    assert (attacked if clean is None else clean).dtype == torch.float32
    assert torch.isfinite(loss)


@pytest.mark.parametrize("make", ["attacked", "diverging"])
def test_the_attack_is_in_fp32_whatever_the_weight_update_unless_asked(make):
    net, (x, y) = model(), batch()

    def moved(**options):
        here = step(**options)
        return losses.attacked(net, x, y, here) if make == "attacked" else losses.diverging(net, x, here)

    assert torch.equal(moved(policy=BF16), moved())
    assert not torch.equal(moved(policy=BF16, precision="bf16"), moved())


# Losses of one's own


def test_a_loss_of_the_protocol_with_the_epoch_takes_one_line(monkeypatch):
    seen = []

    def mine(net, x, y, epoch):
        seen.append(epoch)
        logits = net(x)
        return F.cross_entropy(logits, y) * 2, logits, None

    monkeypatch.setitem(LOSSES, "mine", Loss(by_epoch(mine), "none"))
    (x, y), here = batch(), step()
    loss, clean, attacked = LOSSES["mine"].run(model(), x, y, here)
    assert seen == [here.epoch]
    assert attacked is None
    assert torch.equal(clean, model()(x))
    assert torch.equal(loss, 2 * LOSSES["standard"].run(model(), x, y, here)[0])


def test_every_loss_has_a_reference():
    assert isinstance(LOSSES["standard"].run, types.FunctionType)
    assert all(loss.reference for loss in LOSSES.values())
