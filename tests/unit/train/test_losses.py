"""Training losses: their values, and that an attack leaves the model as it was."""

import copy
import types

import pytest
import torch
import torch.nn.functional as F

from mettle import models
from mettle.perturb import Draws, pgd, pgd_last
from mettle.train import LOSSES, Step

CPU = models.policy(1)
ATTACK = {"norm": "l2", "eps": 0.5, "steps": 3, "step_size": None, "random_start": False, "best": True}


def model(seed=0):
    return models.create("resnet8", 10, 32, [0.5] * 3, [0.25] * 3, seed).train()


def batch(n=8):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, 3, 32, 32, generator=generator), torch.randint(10, (n,), generator=generator)


def step(seed=3, label_smoothing=0.0, policy=CPU, **attack):
    return Step(0, seed, policy, {"label_smoothing": label_smoothing, "attack": ATTACK | attack})


def statistics(net):
    return {key: value.clone() for key, value in net.named_buffers()}


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
    for best, attack in ((True, pgd), (False, pgd_last)):
        twin = copy.deepcopy(net)
        extra = {"draws": Draws(0, range(8)), "random_start": False} if best else {}
        images = attack(twin, x, y, norm="l2", eps=0.5, steps=3, step_size=None, policy=CPU, **extra)
        images = images[0] if isinstance(images, tuple) else images
        loss, _, logits = LOSSES["adversarial"].run(copy.deepcopy(net), x, y, step(best=best))
        assert torch.equal(logits, twin(images))
        assert torch.equal(loss, F.cross_entropy(twin(images), y))
        assert not torch.allclose(images, x)


@pytest.mark.parametrize("best", [True, False])
def test_only_the_training_pass_updates_batchnorm(best):
    net, (x, y) = model(), batch()
    twin = copy.deepcopy(net)
    before = statistics(net)
    _, _, logits = LOSSES["adversarial"].run(net, x, y, step(best=best))
    after = statistics(net)
    assert {int(value) for key, value in after.items() if key.endswith("num_batches_tracked")} == {1}
    assert not torch.equal(after["network.stem.1.running_mean"], before["network.stem.1.running_mean"])
    attack = pgd if best else pgd_last
    extra = {"draws": Draws(0, range(8)), "random_start": False} if best else {}
    images = attack(twin, x, y, norm="l2", eps=0.5, steps=3, step_size=None, policy=CPU, **extra)
    assert all(torch.equal(value, before[key]) for key, value in statistics(twin).items()), "the attack moved them"
    assert torch.equal(twin(images[0] if isinstance(images, tuple) else images), logits)
    assert all(torch.equal(value, after[key]) for key, value in statistics(twin).items())


def test_an_attack_leaves_modes_flags_and_gradients_alone():
    net, (x, y) = model(), batch()
    net.network.fc.bias.requires_grad_(False)
    loss, _, _ = LOSSES["adversarial"].run(net, x, y, step())
    assert all(module.training for module in net.modules())
    assert [name for name, value in net.named_parameters() if not value.requires_grad] == ["network.fc.bias"]
    assert all(parameter.grad is None for parameter in net.parameters())
    loss.backward()
    assert net.network.fc.weight.grad.abs().max() > 0


def test_a_random_start_depends_on_the_seed_alone():
    (x, y), found = batch(), {}
    for name, seed, noise in (("first", 3, 0), ("again", 3, 1), ("other", 4, 0)):
        torch.manual_seed(noise)
        found[name] = LOSSES["adversarial"].run(model(), x, y, step(seed, random_start=True))[0]
    assert torch.equal(found["first"], found["again"])
    assert not torch.equal(found["first"], found["other"])


def test_the_recipe_is_not_changed():
    (x, y), here = batch(), step(random_start=True, best=False)
    before = copy.deepcopy(here.recipe)
    LOSSES["adversarial"].run(model(), x, y, here)
    assert here.recipe == before


def test_losses_are_fp32_under_bf16():
    net, (x, y) = model(), batch()
    here = step(policy=models.Policy(torch.device("cpu"), "bf16"))
    for name in LOSSES:
        loss, clean, attacked = LOSSES[name].run(net, x, y, here)
        assert loss.dtype == torch.float32
        assert (attacked if clean is None else clean).dtype == torch.float32
        assert torch.isfinite(loss)


def test_every_loss_has_a_reference():
    assert isinstance(LOSSES["standard"].run, types.FunctionType)
    assert all(loss.reference for loss in LOSSES.values())
