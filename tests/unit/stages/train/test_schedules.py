"""Schedules of the training attack: the light recipe's formulas, and the length of a step."""

import math

import pytest

from mettle.stages.train.schedules import eps_at, step_size

FULL = 4 / 255


def attack(shape="linear", period=10, zero_epochs=0, by="epoch", **other):
    schedule = {"shape": shape, "period": period, "zero_epochs": zero_epochs, "by": by}
    return {"eps": FULL, "steps": 4, "step_size": None, "tie_step_size": False, "schedule": schedule} | other


def test_linear_starts_at_0_and_reaches_eps_at_the_period():
    found = [eps_at(attack(), epoch) for epoch in range(13)]
    assert found == pytest.approx([FULL * min(epoch / 10, 1) for epoch in range(13)], abs=1e-15)
    assert found[0] == 0
    assert found[10] == FULL


def test_zero_epochs_are_clean_and_the_ramp_then_ends_in_a_jump():
    found = [eps_at(attack(zero_epochs=5), epoch) for epoch in range(12)]
    assert found[:6] == [0.0] * 6
    assert found[9] == pytest.approx(0.4 * FULL)
    assert found[10:] == [FULL, FULL]


def test_sine_is_half_a_wave():
    found = [eps_at(attack("sine"), epoch) for epoch in range(11)]
    expected = [FULL * (1 + math.sin(math.pi * (epoch / 10 - 0.5))) / 2 for epoch in range(11)]
    assert found == pytest.approx(expected, abs=1e-15)
    assert found[0] == pytest.approx(0, abs=1e-15)
    assert found[5] == pytest.approx(FULL / 2)
    assert found == sorted(found)


@pytest.mark.parametrize("epoch", [0, 3, 99])
def test_constant_is_eps_whatever_the_zero_epochs(epoch):
    assert eps_at(attack("constant", zero_epochs=5), epoch) == FULL


@pytest.mark.parametrize("shape", ["linear", "sine"])
def test_period_0_is_eps_at_once(shape):
    assert eps_at(attack(shape, period=0), 0) == FULL


@pytest.mark.parametrize("shape", ["linear", "sine"])
def test_by_epoch_it_is_a_staircase_and_by_iteration_it_goes_on(shape):
    stairs, slope = attack(shape), attack(shape, by="iteration")
    assert eps_at(stairs, 3.75) == eps_at(stairs, 3) == eps_at(slope, 3)
    assert eps_at(slope, 3) < eps_at(slope, 3.75) < eps_at(slope, 4)


def test_a_step_is_one_and_a_half_eps_over_the_number_of_steps():
    assert step_size(attack(), FULL) == pytest.approx(1.5 * FULL / 4)
    assert step_size(attack(), FULL / 2) == pytest.approx(1.5 * FULL / 4), "the final radius counts"
    assert step_size(attack(step_size=0.1), FULL) == 0.1


@pytest.mark.parametrize("own", [None, 0.1])
def test_a_tied_step_is_in_proportion_to_the_radius_of_now(own):
    options = attack(tie_step_size=True, step_size=own)
    assert step_size(options, FULL / 4) == pytest.approx(step_size(attack(step_size=own), FULL) / 4)
    assert step_size(options, FULL) == pytest.approx(step_size(attack(step_size=own), FULL))
