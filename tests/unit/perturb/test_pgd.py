"""PGD: exact where the answer is known, never outside the ball, never weaker for more effort."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mettle import models, schema
from mettle.perturb import Draws, confine, norm, pgd, pgd_last, pgd_trace, step_size
from mettle.perturb.goal import targeted, untargeted
from mettle.perturb.pgd import uniform_start

CPU = models.policy(1)
SHAPE = (3, 8, 8)


class Linear(nn.Module):
    """Two classes; the logit of class 1 is w.x + b, that of class 0 is zero."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.w = nn.Parameter(torch.randn(SHAPE, generator=generator))
        self.b = nn.Parameter(-(self.w * 0.5).sum())

    def forward(self, x):
        score = (x * self.w).flatten(1).sum(1) + self.b
        return torch.stack([torch.zeros_like(score), score], dim=1)


def small_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10))


def images(n=16, seed=0, low=0.0, high=1.0):
    return low + (high - low) * torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def draws(n, seed=0):
    return Draws(seed, range(n))


@pytest.mark.parametrize("name", ["l2", "linf"])
@pytest.mark.parametrize("random_start", [False, True])
def test_exact_on_a_linear_model(name, random_start):
    # Far from 0 and 1, so that the pixel range does not bind: the worst score is known in closed form.
    model, eps = Linear(), 0.1
    x = images(low=0.3, high=0.7)
    y = (model(x)[:, 1] > 0).long()
    # From a random start in L2 each step turns the difference towards w by a constant factor, so it takes more of them.
    options = {"norm": name, "eps": eps, "steps": 50, "step_size": eps, "random_start": random_start}
    attacked, _ = pgd(model, x, untargeted(y), draws=draws(len(x), 1), policy=CPU, **options)
    w = model.w.detach()
    reach = eps * (w.norm() if name == "l2" else w.abs().sum())
    sign = torch.where(y == 1, -1.0, 1.0)
    expected = model(x)[:, 1] + sign * reach
    torch.testing.assert_close(model(attacked)[:, 1], expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", ["l1", "l2", "linf"])
@pytest.mark.parametrize("aims", [False, True])
def test_more_steps_never_help_the_defender(name, aims):
    model, x = small_net(), images(32)
    y = model(x).argmax(1)
    targets = (y + 1) % 10 if aims else None
    eps = {"l1": 6.0, "l2": 0.5, "linf": 0.03}[name]
    previous_value, previous_fooled = None, None
    for steps in (0, 1, 2, 5, 10, 20):
        options = {"norm": name, "eps": eps, "steps": steps, "step_size": eps / 5}
        goal = targeted(targets) if aims else untargeted(y)
        attacked, _ = pgd(model, x, goal, draws=draws(len(x), 3), policy=CPU, **options)
        logits = model(attacked).detach()
        loss = nn.functional.cross_entropy(logits, targets if aims else y, reduction="none")
        value = loss if targets is None else -loss
        fooled = logits.argmax(1) != y if targets is None else logits.argmax(1) == targets
        if previous_value is not None:
            both = fooled & previous_fooled
            assert (fooled | ~previous_fooled).all()
            assert (value >= previous_value - 1e-6)[both | ~fooled].all()
        previous_value, previous_fooled = value, fooled
    assert fooled.any()


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["l1", "l2", "linf"]),
    eps=st.floats(1e-4, 3.0),
    seed=st.integers(0, 2**31),
    steps=st.integers(0, 4),
    early=st.booleans(),
)
def test_attacked_images_lie_inside_ball_and_pixel_range(name, eps, seed, steps, early):
    # Many pixels at the very border, where rounding could carry them out.
    model, x = small_net(seed % 5), images(6, seed).mul(3).sub(1).clamp(0, 1)
    y = torch.arange(6)
    options = {"norm": name, "eps": eps, "steps": steps, "early_stop": early, "restarts": 2}
    options["step_size"] = 2.5 * eps / max(steps, 1)
    attacked, _ = pgd(model, x, untargeted(y), draws=draws(6, seed), policy=CPU, **options)
    difference = attacked.numpy().astype(np.float64) - x.numpy().astype(np.float64)
    flat = difference.reshape(6, -1)
    size = np.linalg.norm(flat, {"l1": 1, "l2": 2, "linf": np.inf}[name], axis=1)
    assert (size <= eps).all()
    assert attacked.min() >= 0 and attacked.max() <= 1


def test_confine_draws_in_a_point_that_rounding_carried_out():
    x, eps = images(low=0.1, high=0.8), 0.1
    raw = x + eps
    assert norm("linf").distance(raw.double() - x.double()).max() > eps
    assert norm("linf").distance(confine(raw, x, "linf", eps).double() - x.double()).max() <= eps


def test_confine_ends_where_a_small_step_inwards_is_lost_in_rounding():
    x = 0.5 + 0.4 * torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    delta = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    inside = confine(x + delta, x, "l2", 0.25)
    assert norm("l2").distance(inside.double() - x.double()).max() <= 0.25
    assert norm("l2").distance(inside.double() - x.double()).min() >= 0.2499


@pytest.mark.parametrize("name", ["l1", "l2", "linf"])
def test_restarts_never_help_the_defender_and_start_where_they_should(name):
    model, x = small_net(), images(24)
    y = model(x).argmax(1)
    eps = {"l1": 4.0, "l2": 0.3, "linf": 0.02}[name]
    fooled, queries = [], []
    for restarts in (1, 4):
        options = {
            "norm": name,
            "eps": eps,
            "steps": 2,
            "step_size": 1.25 * eps,
            "restarts": restarts,
            "early_stop": True,
        }
        attacked, spent = pgd(model, x, untargeted(y), draws=draws(24), policy=CPU, **options)
        fooled.append(model(attacked).argmax(1) != y)
        queries.append(spent)
    assert (fooled[1] | ~fooled[0]).all()
    assert (queries[1] >= queries[0]).all()
    assert (queries[0][~fooled[0]] == 1 + 3).all()  # the image, then two steps and the last iterate


def test_early_stop_gives_the_same_accuracy():
    model, x = small_net(), images(64)
    y = model(x).argmax(1)
    options = {"norm": "l2", "eps": 0.4, "steps": 10, "step_size": 0.1, "draws": draws(64), "policy": CPU}
    slow, slow_queries = pgd(model, x, untargeted(y), **options)
    fast, fast_queries = pgd(model, x, untargeted(y), early_stop=True, **options)
    assert (model(slow).argmax(1) == y).equal(model(fast).argmax(1) == y)
    assert 0 < (model(fast).argmax(1) != y).sum() < 64
    assert fast_queries.sum() < slow_queries.sum()


def test_misclassified_images_are_left_alone_by_early_stop():
    model, x = small_net(), images(8)
    y = (model(x).argmax(1) + 1) % 10
    options = {"norm": "l2", "eps": 1.0, "steps": 5, "step_size": 0.5}
    attacked, queries = pgd(model, x, untargeted(y), draws=draws(8), early_stop=True, policy=CPU, **options)
    assert attacked.equal(x)
    assert (queries == 1).all()


def test_starts_do_not_depend_on_the_batch():
    x, ids = images(6), [5, 6, 7, 8, 9, 10]
    whole = uniform_start(x, "l2", 0.1, Draws(2, ids), 1)
    assert whole[2:4].equal(uniform_start(x[2:4], "l2", 0.1, Draws(2, [7, 8]), 1))
    assert not whole[0].equal(uniform_start(x, "l2", 0.1, Draws(2, ids), 0)[0])


@pytest.mark.parametrize("name", ["l1", "l2", "linf"])
def test_starts_are_uniform_in_the_ball(name):
    x = torch.full((2000, 1, 1, 2), 0.5)
    points = (uniform_start(x, name, 0.4, draws(2000)) - x).flatten(1).double() / 0.4
    radius = norm(name).distance(points)
    assert radius.max() <= 1 + 1e-6
    # In two dimensions the share within radius r is r^2, for all of these shapes.
    for r in (0.3, 0.5, 0.8):
        assert abs((radius <= r).double().mean().item() - r**2) < 0.04
    assert points.mean(0).abs().max() < 0.05


def test_zero_gradient_moves_nothing_and_gives_no_nan():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.zeros(len(x), 10) + 0 * x.sum()

    x = images(4)
    options = {"norm": "l2", "eps": 1.0, "steps": 3, "step_size": 0.8, "random_start": False}
    attacked, _ = pgd(
        Constant(), x, untargeted(torch.zeros(4, dtype=torch.long)), draws=draws(4), policy=CPU, **options
    )
    assert attacked.equal(x)


def test_last_iterate_equals_pgd_on_a_linear_model_and_restores_the_model():
    model, x = Linear().train(), images(8, low=0.3, high=0.7)
    y = (model(x)[:, 1] > 0).long()
    options = {"norm": "l2", "eps": 0.1, "steps": 5, "step_size": 0.03, "policy": CPU}
    last = pgd_last(model, x, untargeted(y), **options)
    best, _ = pgd(model, x, untargeted(y), draws=draws(8), random_start=False, **options)
    torch.testing.assert_close(last, best)
    assert model.training and model.w.requires_grad


@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize("name", ["l1", "l2", "linf"])
def test_a_trace_holds_the_loss_of_every_iterate(name, random_start):
    model, x = small_net(), images(8)
    y = model(x).argmax(1)
    options = {"norm": name, "eps": {"l1": 6.0, "l2": 0.5, "linf": 0.03}[name], "step_size": 0.01, "policy": CPU}
    options["draws"] = draws(8, 5) if random_start else None
    trace = pgd_trace(model, x, untargeted(y), steps=4, **options)
    assert trace.shape == (8, 5)
    for steps in range(5):
        last = pgd_last(model, x, untargeted(y), steps=steps, **options)
        expected = nn.functional.cross_entropy(model(last).detach(), y, reduction="none")
        torch.testing.assert_close(trace[:, steps], expected)


# The length of a step


HOMES = [
    ("attacks/pgd:step_size", 2.5, 20),
    ("recipe:attack.step_size", 1.5, 20),
    ("recipe:validation.steps", 1.5, 20),
    ("config:attack.effectiveness.steps", 1.5, 20),
    ("config:attack.convergence.step_size", 1.5, 10),
]


@pytest.mark.parametrize(("home", "times", "over"), HOMES)
def test_the_default_step_is_what_the_schema_says(home, times, over):
    options = {"norm": "linf", "eps": 8 / 255, "steps": 20}
    assert step_size(options, home) == times * (8 / 255) / over
    assert step_size(options | {"step_size": None}, home) == times * (8 / 255) / over
    assert step_size(options | {"step_size": 0.3}, home) == 0.3
    assert step_size(options, home, 5) == times * (8 / 255) / min(over, 5 if over == 20 else over)


def test_without_steps_there_is_a_length_still():
    assert step_size({"eps": 0.5, "steps": 0}, "attacks/pgd:step_size") == 1.25


def stated(rules):
    """Everything in a schema that has a default step."""
    for sub in [*rules.get("properties", {}).values(), *rules.get("$defs", {}).values()]:
        if "relative_step" in sub:
            yield sub
        yield from stated(sub)


def test_descriptions_and_the_caption_state_the_number_of_the_schema():
    found = [sub for file in ("attacks", "recipe", "config") for sub in stated(schema.load(file))]
    assert len(found) == len(HOMES)
    for sub in found:
        paper = "Madry et al. 2018" if sub["relative_step"] == 2.5 else "Debenedetti et al. 2023"
        assert re.search(rf": {sub['relative_step']}[^:]* \({paper}\)", sub["description"])
    effectiveness = schema.load("config")["properties"]["attack"]["properties"]["effectiveness"]["properties"]["steps"]
    caption = (schema.FOLDER.parent / "report" / "fig7.rst").read_text(encoding="utf-8")
    assert f"step {effectiveness['relative_step']} eps / steps" in caption


@pytest.mark.parametrize("name", ["l1", "l2", "linf"])
def test_another_objective_is_what_rises(name):
    model, x = small_net(), images(8)
    y = model(x).argmax(1)
    clean = model(x).detach().softmax(1)

    def divergence(logits, index):
        return nn.functional.kl_div(logits.log_softmax(1), clean[index], reduction="none").sum(1)

    eps = {"l1": 4.0, "l2": 0.3, "linf": 0.02}[name]
    options = {"norm": name, "eps": eps, "steps": 10, "step_size": eps / 5, "draws": draws(8), "policy": CPU}
    every = torch.arange(8)
    by_loss, by_divergence = (pgd_last(model, x, untargeted(y, o), **options) for o in (None, divergence))
    found = [divergence(model(z).detach(), every) for z in (by_loss, by_divergence)]
    assert found[1].mean() > found[0].mean()
    best, _ = pgd(model, x, untargeted(y, divergence), **options)
    mistaken = model(by_divergence).argmax(1) != y
    same = mistaken == (model(best).argmax(1) != y)
    assert (divergence(model(best).detach(), every) >= found[1] - 1e-6)[same].all()


def test_attack_leaves_batch_statistics_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    pgd_last(model, images(8), untargeted(torch.arange(8)), norm="linf", eps=0.1, steps=3, step_size=0.05, policy=CPU)
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_unknown_norm_lists_the_known():
    with pytest.raises(ValueError, match=r"unknown norm 'l3'.*l2"):
        norm("l3")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cpu_and_gpu_agree():
    model, x = small_net(), images(64)
    y = model(x).argmax(1)
    outcome = []
    for device in ("cpu", "cuda"):
        policy = models.Policy(torch.device(device))
        on = model.to(device)
        options = {"norm": "l2", "eps": 0.4, "steps": 10, "step_size": 0.1}
        options |= {"draws": Draws(0, range(64), device), "policy": policy}
        attacked, _ = pgd(on, x.to(device), untargeted(y.to(device)), **options)
        outcome.append((on(attacked).argmax(1) != y.to(device)).cpu())
    assert (outcome[0] != outcome[1]).float().mean() <= 0.02
