"""Projection onto hyperplane and box: exact against bisection in float64, and no admissible point is nearer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mettle.perturb.projections import onto_hyperplane

NORMS = ["l2", "linf"]


def length(moves, norm):
    return moves.norm(dim=1) if norm == "l2" else moves.abs().amax(1)


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
@given(norm=st.sampled_from(NORMS), seed=st.integers(0, 2**31), share=st.floats(0.001, 0.99))
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
    dual = weights.norm(dim=1) if norm == "l2" else weights.abs().sum(1)
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
