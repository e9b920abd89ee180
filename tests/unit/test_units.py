"""Radii as people write them."""

import itertools

import pytest

from mettle.units import ball_text, eps_text


@pytest.mark.parametrize(
    ("eps", "text"),
    [
        *((0, "0"), (4 / 255, "4/255"), (8 / 255, "8/255"), (0.5 / 255, "0.5/255"), (0.2, "0.2")),
        *((1, "1"), (3.0, "3"), (0.25, "0.25"), (0.1 + 0.2, "0.3"), (0.001, "0.001"), (0.0313725, "0.0313725")),
        *((0.0156862745, "0.0156862745"), (128 / 255, "128/255"), (255, "255")),
    ],
)
def test_a_radius_is_written_as_people_write_it(eps, text):
    assert eps_text(eps) == text


def test_every_step_of_8_bits_is_whole_and_radii_that_differ_read_apart():
    for step in range(1, 255):
        text = eps_text(step / 255)
        over, _, under = text.partition("/")
        assert float(over) / float(under or 1) == pytest.approx(step / 255, rel=1e-12) and len(text) <= 7
    many = [8 / 255, 0.0313725, 0.031372549, 0.03137254902, 0.5, 0.5000001, 0.50000000001]
    assert all(eps_text(a) != eps_text(b) for a, b in itertools.combinations(many, 2))


def test_a_ball_has_its_norm():
    assert ball_text("linf", 4 / 255) == "Linf 4/255" and ball_text("l2", 0.5) == "L2 0.5"
