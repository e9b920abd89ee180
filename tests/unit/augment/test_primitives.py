"""PRIME's primitives: equal to slow sums, and distributed as the paper says."""

import math

import numpy as np
import pytest
import torch
from primed import draws, options, pictures
from scipy import ndimage, stats

from mettle.augment import displacement
from mettle.augment.color import color, sines
from mettle.augment.diffeo import temperatures
from mettle.augment.filters import convolved, random_filter

# Colour


@pytest.mark.parametrize(("terms", "first"), [(1, 1), (20, 1), (20, 480), (100, 1), (60, 77)])
def test_a_series_is_the_sum_of_its_sines(terms, first):
    x, generator = pictures(2).double(), torch.Generator().manual_seed(0)
    x[0, 0, 0, :4] = torch.tensor([0.0, 1.0, 1e-4, 0.5])
    b = torch.randn(2, 3, terms, generator=generator, dtype=torch.float64)
    start = torch.tensor([first, first + 3])
    k = (start[:, None] + torch.arange(terms)).double()
    slow = (b[..., None, None] * (math.pi * k[:, None, :, None, None] * x[:, :, None]).sin()).sum(2)
    torch.testing.assert_close(sines(x, b, start), slow, atol=1e-9, rtol=0)
    single = sines(x.float(), b.float(), start)
    torch.testing.assert_close(single.double(), slow, atol=1e-3 * math.sqrt(terms), rtol=0)


def test_a_colour_map_is_smooth_random_and_one_function_per_channel():
    x = pictures(4)
    x[:, 1] = x[:, 0]
    y = color(x, draws(4), options(color={"cut": 3, "variance": 0.01})["color"], 0, 0)
    assert not torch.equal(y[:, 0], y[:, 1]), "channels have maps of their own"
    flat = x[:, :1].flatten(1)
    order = flat.argsort()
    slope = y[:, 0].flatten(1).gather(1, order).diff() / flat.gather(1, order).diff().clamp(min=1e-3)
    assert slope.abs().max() < 10, "neighbouring colours stay neighbours"


def test_coefficients_are_normal_with_a_uniform_variance():
    n, variance = 3000, 1e-4  # at x = 1/2 and the frequency 1, a map adds its one coefficient
    given = options(color={"cut": 1, "variance": variance, "bandwidth": 1})["color"]
    found = color(torch.full((n, 3, 1, 1), 0.5), draws(n), given)
    b = (found - 0.5).view(n, 3).double() / math.sqrt(variance)
    assert abs(b.mean()) < 0.03
    assert b.var().item() == pytest.approx(1 / 2, rel=0.05)
    assert (b**4).mean().item() == pytest.approx(3 / 3, rel=0.15)  # 3 E[u^2], of a uniform u
    assert abs(np.corrcoef(b.T.numpy())[np.triu_indices(3, 1)]).max() < 0.06


def test_frequencies_begin_anywhere_up_to_a_largest_one_that_is_uniform():
    n, cut = 3000, 4
    x = ((torch.arange(64) + 0.5) / 64).expand(n, 3, 1, 64)
    made = color(x, draws(n), options(color={"cut": cut, "variance": 1e-4, "bandwidth": 1})["color"]) - x
    waves = torch.stack([(math.pi * k * x[0, 0, 0]).sin() for k in range(1, cut + 1)])
    counts = torch.bincount((made[:, 0, 0] @ waves.T).abs().argmax(1), minlength=cut)
    chance = [sum(1 / (cut * largest) for largest in range(k, cut + 1)) for k in range(1, cut + 1)]
    assert stats.chisquare(counts, n * np.array(chance)).pvalue > 0.01


# Filter


def test_a_filter_is_a_correlation_with_zeros_outside():
    x, kernels = pictures(3), torch.randn(3, 5, 5, generator=torch.Generator().manual_seed(0))
    found = convolved(x, kernels)
    for image, kernel, made in zip(x.numpy(), kernels.numpy(), found.numpy(), strict=True):
        for channel, expected in zip(image, made, strict=True):
            np.testing.assert_allclose(ndimage.correlate(channel, kernel, mode="constant"), expected, atol=1e-5)


def kernels(n, **filtering):
    """Kernels (n, 3, k, k) of all channels, read off the answer to a pixel that differs."""
    given = options(filter=filtering)["filter"]
    side = 2 * given["radius"] + 1
    flat = torch.full((n, 3, 4 * side + 1, 4 * side + 1), 0.5)
    point = flat.clone()
    point[:, :, 2 * side, 2 * side] += 0.1
    apart = (random_filter(point, draws(n), given) - random_filter(flat, draws(n), given)) / 0.1
    window = slice(2 * side - given["radius"], 2 * side + given["radius"] + 1)
    return apart[:, :, window, window].flip(2, 3).double()


@pytest.mark.parametrize("radius", [1, 2])
def test_a_kernel_is_the_identity_plus_noise_of_uniform_deviation(radius):
    n, sigma = 2000, 0.01
    found = kernels(n, radius=radius, sigma=sigma)
    assert (found - found[:, :1]).abs().max() < 1e-4, "channels share a kernel"
    found = found[:, 0]
    found[:, radius, radius] -= 1
    noise = found.flatten(1) / sigma
    assert abs(noise.mean()) < 0.02
    assert noise.var().item() == pytest.approx(1 / 3, rel=0.05)
    assert noise.std(1).max() < 2, "deviations are bounded"
    assert (noise.std(1) < 0.1).float().mean().item() == pytest.approx(0.1, abs=0.06)


def test_a_centred_filter_keeps_images_in_place_and_the_one_of_primes_code_moves_them_by_a_pixel():
    x = pictures()
    still, moved = (
        random_filter(x, draws(), options(filter={"sigma": 0, "off_centre": off})["filter"]) for off in (False, True)
    )
    torch.testing.assert_close(still, x)
    torch.testing.assert_close(moved[:, :, :-1, :-1], x[:, :, 1:, 1:])
    assert moved[:, :, -1].max() == moved[:, :, :, -1].max() == 0


# Diffeomorphism


def fields(n, size, **deforming):
    return displacement(size, draws(n), options(diffeomorphism=deforming)["diffeomorphism"]).double()


def test_fields_have_the_variance_of_their_modes():
    n, size = 3000, (13, 17)
    height, width = size
    found = fields(n, size, cut_min=2, cut_max=3, alpha=0)  # cut is 2 or 3, T the least
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    expected = np.zeros(size)
    for cut in (2, 3):
        low, _ = temperatures(size, torch.tensor([float(cut)]))
        for i in range(1, cut + 1):
            for j in range(1, cut + 1):
                if i**2 + j**2 < (cut + 0.5) ** 2:
                    expected += low.item() / 2 * (np.sin(np.pi * i * x) * np.sin(np.pi * j * y)) ** 2 / (i**2 + j**2)
    inside = expected > 0.05 * expected.max()
    for axis, side in enumerate((width, height)):
        ratio = found[:, axis].var(0).numpy()[inside] / (expected * side**2)[inside]
        assert ratio.mean() == pytest.approx(1, abs=0.05)
        assert abs(ratio - 1).max() < 0.2
    assert abs(np.corrcoef(found[:, 0, 6, 8], found[:, 1, 6, 8])[0, 1]) < 0.06
    border = torch.cat([found[..., 0, :], found[..., -1, :], found[..., 0], found[..., -1]], -1)
    assert border.abs().max() < 1e-5


def test_the_least_typical_displacement_is_half_a_pixel_and_larger_alpha_gives_more():
    least, more = (fields(400, (64, 64), alpha=alpha).norm(dim=1) for alpha in (0, 1))
    centre = least[:, 28:36, 28:36].square().mean().sqrt().item()
    assert centre == pytest.approx(0.5, abs=0.08)
    assert more.square().mean() > 2 * least.square().mean()


def test_a_frequency_that_the_grid_cannot_carry_is_not_drawn():
    found = fields(200, (12, 40), cut_max=500)
    spectrum = torch.fft.rfft(torch.cat([found, -found.flip(3)[..., 1:-1]], 3), dim=3).abs().mean((0, 1, 2))
    assert spectrum[13:].max() < 1e-4 * spectrum.max(), "frequencies end at the shorter side"


def test_an_image_has_its_field_in_any_batch():
    whole = fields(20, (24, 24))
    given = options()["diffeomorphism"]
    for k in (3, 11):
        alone = displacement((24, 24), draws(20).take(torch.tensor([k])), given)
        torch.testing.assert_close(alone[0].double(), whole[k], atol=1e-5, rtol=0)
