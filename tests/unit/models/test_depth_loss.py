"""The loss of depth: its value by hand, what it does not see, and its gradient."""

import math

import numpy as np
import pytest
import torch

from mettle.models.depth import gradient_loss, sig_loss


def maps(n=2, size=(4, 5), seed=0):
    drawn = torch.Generator().manual_seed(seed)
    true = 1 + 8 * torch.rand(n, *size, generator=drawn, dtype=torch.float64)
    found = true * (0.3 * torch.randn(n, *size, generator=drawn, dtype=torch.float64)).exp()
    return found, torch.where(torch.rand(n, *size, generator=drawn) < 0.3, 0.0, true)


def by_the_book(found, true, weight=1.0):
    pairs = [(p, d) for p, d in zip(found.flatten().tolist(), true.flatten().tolist(), strict=True) if d > 0]
    logs = [math.log(p + 1e-3) - math.log(d + 1e-3) for p, d in pairs]
    mean = sum(logs) / len(logs)
    variance = sum((one - mean) ** 2 for one in logs) / (len(logs) - 1)
    return math.sqrt(weight * variance + 0.15 * mean**2)


@pytest.mark.parametrize("seed", [0, 1])
def test_its_value_is_that_of_the_formula(seed):
    found, true = maps(seed=seed)
    assert sig_loss(found, true).item() == pytest.approx(by_the_book(found, true), rel=1e-12)
    assert sig_loss(found, true, warm=True).item() == pytest.approx(by_the_book(found, true, 0), rel=1e-12)


def test_its_value_is_that_of_the_monocular_depth_estimation_toolbox():
    """Recorded from depth/models/losses/sigloss.py of zhyever/Monocular-Depth-Estimation-Toolbox at d8aff50."""
    rng = np.random.default_rng(7)
    true = rng.uniform(0.5, 11, (3, 6, 8))
    found = torch.from_numpy(true * np.exp(0.3 * rng.standard_normal(true.shape)))
    known = torch.from_numpy(np.where(true < 10, true, 0))
    assert sig_loss(found, known).item() == pytest.approx(0.2791387714561392, rel=1e-12)
    assert sig_loss(found, known, warm=True).item() == pytest.approx(0.01624090464832251, rel=1e-12)


def test_of_one_factor_for_all_it_sees_the_mean_alone():
    _, true = maps()
    expected = math.sqrt(0.15) * math.log(2)
    assert sig_loss(2 * true + 1e-3, true).item() == pytest.approx(expected, rel=1e-9)
    assert sig_loss(2 * true + 1e-3, true, warm=True).item() == pytest.approx(expected, rel=1e-9)


def test_pixels_without_a_target_change_nothing():
    found, true = maps()
    assert torch.equal(sig_loss(torch.where(true > 0, found, 50.0), true), sig_loss(found, true))


@pytest.mark.parametrize("warm", [False, True])
def test_its_gradient_is_that_of_finite_differences(warm):
    found, true = maps()
    assert torch.autograd.gradcheck(lambda one: sig_loss(one, true, warm=warm), found.requires_grad_(), atol=1e-7)


def test_a_perfect_prediction_has_no_gradient_and_no_nan():
    _, true = maps()
    found = true.clone().requires_grad_()
    loss = sig_loss(found, true)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=2e-6) and (found.grad == 0).all()


def test_what_has_no_loss_is_refused():
    found, true = maps()
    with pytest.raises(ValueError, match=r"^predicted depths are of shape \(2, 4, 4\), targets of \(2, 4, 5\)$"):
        sig_loss(found[..., :4], true)
    with pytest.raises(ValueError, match=r"^fewer than two pixels of the batch have a depth: leave images without any"):
        sig_loss(found, 0 * true)


def edges_by_the_book(found, true, scales):
    """The gradient loss, pixel by pixel."""
    total = 0.0
    for step in (2**k for k in range(scales)):
        p, d = (maps[:, ::step, ::step].tolist() for maps in (found, true))
        height, width = len(p[0]), len(p[0][0])
        error = {
            (n, y, x): math.log(p[n][y][x] + 1e-3) - math.log(d[n][y][x] + 1e-3)
            for n in range(len(p))
            for y in range(height)
            for x in range(width)
            if d[n][y][x] > 0
        }
        pairs = [((n, y, x), other) for n, y, x in error for other in ((n, y + 1, x), (n, y, x + 1))]
        total += sum(abs(error[one] - error[other]) for one, other in pairs if other in error) / max(len(error), 1)
    return total


@pytest.mark.parametrize("scales", [1, 4])
def test_the_gradient_loss_is_that_of_neighbours_at_several_scales(scales):
    found, true = maps(size=(9, 12))
    expected = edges_by_the_book(found, true, scales)
    assert gradient_loss(found, true, scales).item() == pytest.approx(expected, rel=1e-10)
    assert gradient_loss(2 * true, true, scales).item() == pytest.approx(0, abs=2e-3), "blind to a common factor"
