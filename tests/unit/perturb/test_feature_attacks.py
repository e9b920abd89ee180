"""Attacks on features: cosines by axis against sums, rounding and caps inside the ball, and what PGD finds."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mettle import schema
from mettle.models import Policy
from mettle.perturb import Draws, norm
from mettle.perturb.features import LIKENESS, attack, capped, norm_of, of_class_token, rounded, unlike
from mettle.perturb.norms import scaled

CPU = Policy(torch.device("cpu"))


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def cosine(a, b):
    return float((a @ b) / (a.norm() * b.norm()))


def test_cosines_are_those_of_their_axis():
    one, other = normal(2, 5, 7).double(), normal(2, 5, 7, seed=1).double()
    for image in range(2):
        a, b = one[image], other[image]
        channels = sum(cosine(a[t], b[t]) for t in range(5)) / 5
        along = sum(cosine(a[:, d], b[:, d]) for d in range(7)) / 7
        assert float(LIKENESS["channels"](one, other)[image]) == pytest.approx(channels)
        assert float(LIKENESS["tokens"](one, other)[image]) == pytest.approx(along)
        assert float(of_class_token(one, other)[image]) == pytest.approx(cosine(a[0], b[0]))


@pytest.mark.parametrize("name", LIKENESS)
def test_a_cosine_is_one_with_itself_whatever_the_scale_and_never_beyond(name):
    one, other = normal(3, 4, 6), normal(3, 4, 6, seed=1)
    torch.testing.assert_close(LIKENESS[name](one, 3 * one), torch.ones(3))
    torch.testing.assert_close(LIKENESS[name](one, -one), -torch.ones(3))
    assert (LIKENESS[name](one, other).abs() <= 1).all()


def test_the_goal_is_of_the_images_at_its_positions_and_knows_no_success():
    clean = normal(4, 3, 5)
    goal = unlike(clean, LIKENESS["channels"])
    index = torch.tensor([2, 0])
    torch.testing.assert_close(goal.objective(clean[index], index), -torch.ones(2))
    assert goal.success is None and goal.labels is None


STD = torch.tensor([0.3, 0.2, 0.1])[:, None, None]


class Patches(nn.Module):
    """Mean colours of 4x4 patches, as 16 tokens of 6 channels, through a fixed nonlinear layer."""

    def __init__(self):
        super().__init__()
        self.model = SimpleNamespace(std=STD)
        self.weight = nn.Parameter(normal(3, 6, seed=3))

    def forward(self, images):
        means = nn.functional.avg_pool2d(images, 4).flatten(2).transpose(1, 2)
        return torch.tanh((means - 0.5) @ self.weight)


def options(**own):
    return schema.check({"norm": "linf", "eps": "8/255", "steps": 10} | own, "feature_attack", "here")


def images():
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(4)) * 0.4 + 0.3


def attacked(**own):
    model, clean = Patches(), images()
    with torch.no_grad():
        seen = model(clean)
    found, queries = attack(model, clean, seen, options(**own), Draws(0, range(5)), CPU)
    with torch.no_grad():
        return clean, found, LIKENESS[options(**own)["similarity"]](model(found), seen), queries


OPTIONS = [{}, {"norm": "l2", "eps": 1.0}, {"rounding": True}, {"max_mse": 1e-4}, {"restarts": 2}]
AS_PUBLISHED = {"norm": "linf_normalised", "eps": 32 / 255, "step_size": 0.04}
OPTIONS += [AS_PUBLISHED, AS_PUBLISHED | {"rounding": True}, AS_PUBLISHED | {"max_mse": 1e-4}]


@pytest.mark.parametrize("own", [*OPTIONS, {"similarity": "tokens"}])
def test_features_are_less_alike_than_by_chance_inside_ball_and_range(own):
    clean, found, alike, queries = attacked(**own)
    told = options(**own)
    assert (norm_of(told, Patches()).distance(found.double() - clean.double()) <= told["eps"]).all()
    assert ((found >= 0) & (found <= 1)).all() and (queries > told["steps"]).all()
    noise = clean + (torch.rand(clean.shape, generator=torch.Generator().manual_seed(5)) * 2 - 1) * 8 / 255
    with torch.no_grad():
        by_chance = LIKENESS[told["similarity"]](Patches()(noise), Patches()(clean))
    assert (alike < by_chance).all()


def test_a_normalised_ball_is_one_of_the_radius_times_the_standard_deviation_of_each_channel():
    clean, found, _, _ = attacked(**AS_PUBLISHED)
    reached = (found.double() - clean.double()).abs().amax((0, 2, 3))
    torch.testing.assert_close(reached, (32 / 255 * STD.double()).flatten(), rtol=1e-5, atol=0)


def test_a_scaled_norm_is_that_of_scaled_differences():
    delta, steep, gaussian, uniform = (
        normal(2, 3, 4, 4),
        normal(2, 3, 4, 4, seed=1),
        normal(2, 3, 4, 4, seed=2),
        torch.rand(2),
    )
    for name in ("l2", "linf"):
        plain, found = norm(name), scaled(name, STD)
        torch.testing.assert_close(found.distance(delta), plain.distance(delta / STD))
        torch.testing.assert_close(found.project(delta, 0.3) / STD, plain.project(delta / STD, 0.3))
        torch.testing.assert_close(found.uniform(gaussian, uniform) / STD, plain.uniform(gaussian, uniform))
        direction = found.step(steep)  # the chain rule: a step of x / std climbs by the gradient times std
        torch.testing.assert_close(direction / STD, plain.step(steep * STD))
        assert float(found.distance(direction).amax()) == pytest.approx(1, abs=1e-6)


def test_more_restarts_never_find_less():
    once, twice = attacked()[2], attacked(restarts=3)[2]
    assert (twice <= once + 1e-6).all()


@pytest.mark.parametrize("eps", [8 / 255, 2.5 / 255, 0.3 / 255])
def test_rounded_images_are_of_8_bits_and_in_the_ball(eps):
    levels = torch.randint(0, 256, (3, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    clean = levels.float() / 255
    moved = (clean + (torch.rand(clean.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1) * eps).clamp(0, 1)
    found = rounded(moved, clean, eps)
    assert ((found * 255 - (found * 255).round()).abs() < 1e-3).all()
    assert ((found.double() - clean.double()).abs().flatten(1).amax(1) <= eps).all()
    if eps > 1 / 255:
        assert ((found - moved).abs() <= 1 / 255 + 1e-6).all(), "to a nearby level"


def test_images_between_levels_that_no_level_is_near_stay():
    clean = torch.full((1, 3, 2, 2), 100.5 / 255)
    assert torch.allclose(rounded(clean + 0.1 / 255, clean, 0.2 / 255), clean + 0.1 / 255)


def test_a_cap_scales_down_what_is_beyond_it_alone():
    clean = images()
    change = normal(*clean.shape) * torch.tensor([0.001, 0.1, 0.1, 0.001, 0.1])[:, None, None, None]
    found = capped(clean + change, clean, 1e-4)
    error = (found - clean).square().flatten(1).mean(1)
    torch.testing.assert_close(error[[1, 2, 4]], torch.full((3,), 1e-4))
    torch.testing.assert_close(found[[0, 3]], (clean + change)[[0, 3]])
