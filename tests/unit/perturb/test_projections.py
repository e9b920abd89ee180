"""Projections onto a hyperplane, or the L1 ball, in a box: exact in float64, and no admissible point is nearer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from mettle.perturb.norms import norm as ball_of
from mettle.perturb.projections import onto_ball, onto_ball_in_box, onto_hyperplane

NORMS = ["l1", "l2", "linf"]

POWERS = {"l1": 1, "l2": 2, "linf": torch.inf}


def length(moves, norm):
    return torch.linalg.vector_norm(moves, POWERS[norm], dim=1)


def problem(seed, n=6, d=40, share=0.5):
    """Many points on the border, some weights of zero, gaps that are a share of what the box allows."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(n, d, generator=generator).mul(2).sub(0.5).clamp(0, 1)
    weights = torch.randn(n, d, generator=generator) * torch.rand(n, d, generator=generator).gt(0.1)
    sign = torch.randn(n, generator=generator).sign()
    up = weights * sign[:, None] > 0
    most = (weights.abs() * torch.where(up, 1 - points, points)).sum(1)
    return points, weights, sign * most * share


def bisect(points, weights, gap, norm):
    """The same move in float64: the multiplier by halving, 200 times."""
    points, weights, gap = points.double(), weights.double(), gap.double()
    direction = weights.sign() * gap.sign()[:, None]
    room = torch.where(direction > 0, 1 - points, points)
    pace = weights.abs() if norm == "l2" else torch.ones_like(weights)
    low, high = torch.zeros_like(gap), torch.full_like(gap, 1e6)
    for _ in range(200):
        middle = (low + high) / 2
        far = (weights.abs() * torch.minimum(middle[:, None] * pace, room)).sum(1) >= gap.abs()
        low, high = torch.where(far, low, middle), torch.where(far, middle, high)
    return direction * torch.minimum(high[:, None] * pace, room)


@settings(max_examples=100, deadline=None)
@given(norm=st.sampled_from(NORMS[1:]), seed=st.integers(0, 2**31), share=st.floats(0.001, 0.99))
def test_move_is_that_of_bisection_in_float64(norm, seed, share):
    points, weights, gap = problem(seed, share=share)
    move = onto_hyperplane(points, weights, gap, norm)
    torch.testing.assert_close(move.double(), bisect(points, weights, gap, norm), rtol=1e-4, atol=2e-5)
    torch.testing.assert_close((move * weights).sum(1), gap, rtol=1e-4, atol=1e-5)
    assert (points + move).min() >= 0 and (points + move).max() <= 1 + 1e-6
    assert (move[weights == 0] == 0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_no_admissible_point_is_nearer(norm):
    points, weights, gap = (part.double() for part in problem(1, n=1, d=6, share=0.6))
    move = onto_hyperplane(points, weights, gap, norm)
    generator = torch.Generator().manual_seed(0)
    others = torch.rand(200_000, 6, generator=generator, dtype=torch.float64)
    pivot = weights[0].abs().argmax()  # solved for, so that the point lies on the plane
    rest = ((others - points) * weights).sum(1) - (others - points)[:, pivot] * weights[0, pivot]
    others[:, pivot] = points[0, pivot] + (gap - rest) / weights[0, pivot]
    others = others[(others[:, pivot] >= 0) & (others[:, pivot] <= 1)]
    assert len(others) > 1000
    nearest = length(others - points, norm).min()
    assert length(move, norm) <= nearest + 1e-9
    assert nearest < 2 * length(move, norm)  # the search was not blind


@pytest.mark.parametrize("norm", NORMS)
def test_a_plane_out_of_reach_gives_the_nearest_corner(norm):
    points, weights, gap = problem(2, share=1.5)
    move = onto_hyperplane(points, weights, gap, norm)
    corner = (weights * gap.sign()[:, None] > 0).float()
    torch.testing.assert_close(points + move, torch.where(weights == 0, points, corner))


@pytest.mark.parametrize("norm", NORMS)
def test_away_from_the_border_the_move_has_the_length_of_the_dual_norm(norm):
    generator = torch.Generator().manual_seed(0)
    points, weights = torch.full((5, 30), 0.5), torch.randn(5, 30, generator=generator)
    gap = torch.tensor([0.1, -0.2, 0.05, -0.3, 0.0])
    dual = length(weights, {"l1": "linf", "l2": "l2", "linf": "l1"}[norm])
    torch.testing.assert_close(length(onto_hyperplane(points, weights, gap, norm), norm), gap.abs() / dual)


@pytest.mark.parametrize("norm", NORMS)
def test_zero_weights_move_nothing(norm):
    move = onto_hyperplane(torch.rand(3, 10), torch.zeros(3, 10), torch.tensor([1.0, -1.0, 0.0]), norm)
    assert (move == 0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_rows_do_not_depend_on_each_other(norm):
    points, weights, gap = problem(3, n=50)
    whole = onto_hyperplane(points, weights, gap, norm)
    for row in range(50):
        alone = onto_hyperplane(points[row : row + 1], weights[row : row + 1], gap[row : row + 1], norm)
        assert torch.equal(alone[0], whole[row])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0.001, 0.99))
def test_the_move_in_l1_is_that_of_a_linear_program(seed, share):
    points, weights, gap = problem(seed, n=3, d=12, share=share)
    found = onto_hyperplane(points, weights, gap, "l1")
    torch.testing.assert_close((found * weights).sum(1), gap, rtol=1e-4, atol=1e-5)
    assert (points + found).min() >= 0 and (points + found).max() <= 1 + 1e-6
    for point, weight, need, move in zip(points.double(), weights.double(), gap.double(), found, strict=True):
        # move = up - down, both nonnegative and within the box; their sum is the length.
        bounds = [(0, top) for top in (1 - point).tolist() + point.tolist()]
        best = linprog(np.ones(24), A_eq=torch.cat([weight, -weight])[None].numpy(), b_eq=[need.item()], bounds=bounds)
        assert move.abs().sum().item() == pytest.approx(best.fun, rel=1e-4, abs=1e-6)


# The L1 ball in the box


def differences(seed, n=4, d=8):
    """Images with many pixels on the border, and differences of several lengths."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, d, generator=generator, dtype=torch.float64).mul(2).sub(0.5).clamp(0, 1)
    return images, torch.randn(n, d, generator=generator, dtype=torch.float64) * torch.rand(n, 1, generator=generator)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), eps=st.floats(0.01, 4.0))
def test_the_nearest_point_of_ball_and_box_is_that_of_quadratic_programming(seed, eps):
    images, delta = differences(seed)
    found = onto_ball_in_box(delta, images, eps)
    for image, start, move in zip(images, delta, found, strict=True):
        target = start.numpy()

        def square(parts, target=target):
            error = parts[:8] - parts[8:] - target
            return (error**2).sum(), 2 * np.concatenate([error, -error])

        ball = {"type": "ineq", "fun": lambda parts: eps - parts.sum(), "jac": lambda parts: -np.ones(16)}
        bounds = [(0, top) for top in (1 - image).tolist() + image.tolist()]
        options = {"ftol": 1e-14, "maxiter": 500}
        best = minimize(
            square, np.zeros(16), jac=True, bounds=bounds, constraints=[ball], method="SLSQP", options=options
        )
        assert ((move - start) ** 2).sum().item() == pytest.approx(best.fun, rel=1e-6, abs=1e-8)
        np.testing.assert_allclose(move, best.x[:8] - best.x[8:], atol=2e-4)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**31), eps=st.floats(0, 40.0), d=st.sampled_from([1, 2, 30, 300]))
def test_the_point_is_inside_and_a_root_of_bisection(seed, eps, d):
    images, delta = differences(seed, d=d)
    delta *= 3
    found = onto_ball_in_box(delta, images, eps)
    assert (found.abs().sum(1) <= eps * (1 + 1e-9) + 1e-12).all()
    assert (images + found).min() >= 0 and (images + found).max() <= 1
    size, room = delta.abs(), torch.where(delta > 0, 1 - images, images)
    low, high = torch.zeros(len(size), 1, dtype=torch.float64), size.amax(1, keepdim=True)
    for _ in range(100):
        middle = (low + high) / 2
        far = torch.minimum((size - middle).clamp_min(0), room).sum(1, keepdim=True) > eps
        low, high = torch.where(far, middle, low), torch.where(far, high, middle)
    inside = torch.minimum(size, room).sum(1, keepdim=True) <= eps
    expected = torch.minimum((size - torch.where(inside, 0.0, high)).clamp_min(0), room) * delta.sign()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_cutting_the_ball_to_the_box_is_not_nearest():
    # Prop. 2.1 against its simpler alternative, projection into the ball and then into the box: at (1, 0) upwards.
    images, delta = torch.tensor([[0.9, 0.5]]), torch.tensor([[2.0, 0.6]])
    torch.testing.assert_close(onto_ball_in_box(delta, images, 0.5), torch.tensor([[0.1, 0.4]]))
    torch.testing.assert_close(onto_ball(delta, 0.5), torch.tensor([[0.5, 0.0]]))


def test_rows_of_the_ball_do_not_depend_on_each_other_and_eps_0_is_the_image():
    images, delta = differences(3, n=40, d=50)
    whole = onto_ball_in_box(delta, images, 1.5)
    for row in range(40):
        assert onto_ball_in_box(delta[row : row + 1], images[row : row + 1], 1.5)[0].equal(whole[row])
    assert onto_ball_in_box(delta, images, 0.0).abs().max() < 1e-12


@pytest.mark.parametrize("norm", NORMS)
def test_the_dual_norm_is_the_most_that_a_step_of_length_1_gains(norm):
    ball, gradient = ball_of(norm), torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    step = ball.step(gradient)
    torch.testing.assert_close(ball.distance(step), torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(ball.dual(gradient), (gradient * step).flatten(1).sum(1))  # in L1 of one coordinate
    others = ball.uniform(torch.randn(5, 3, 4, 4), torch.ones(5))
    assert ((gradient * others).flatten(1).sum(1) <= ball.dual(gradient) + 1e-6).all()
    assert (ball.step(torch.zeros_like(gradient)) == 0).all()
