"""PRIME: equal to a slow computation, in range, mixed as the paper says, an image on its own."""

import math

import numpy as np
import pytest
import torch
from primed import draws, options, pictures
from scipy import ndimage, stats

from mettle.augment import MASK_SAFE, PRIMITIVES, prime
from mettle.augment.diffeo import temperatures
from mettle.augment.prime import _links, _shares
from mettle.perturb import Draws

# A slow computation from the same random numbers, in float64: all primitives on all images, masked afterwards.


def slow_color(images, draws, given, *counters):
    uniform = draws.uniform((3,), "color", *counters).double().numpy()
    width = given["bandwidth"] or given["cut"]
    normal = draws.normal((3, width), "color.b", *counters).double().numpy()
    made = images.copy()
    for image, (a, b, c), coefficients, found in zip(images, uniform, normal, made, strict=True):
        largest = 1 + int(a * given["cut"])
        first = 1 + int(b * largest) if given["bandwidth"] else 1
        for j in range(width):
            if (k := first + j) <= largest:
                found += math.sqrt(c * given["variance"]) * coefficients[:, j, None, None] * np.sin(math.pi * k * image)
    return made.clip(0, 1)


def slow_filter(images, draws, given, *counters):
    side, centre = 2 * given["radius"] + 1, given["radius"] + given["off_centre"]
    sigma = given["sigma"] * draws.uniform((1,), "filter.sigma", *counters).double().numpy()
    noise = draws.normal((side, side), "filter.noise", *counters).double().numpy()
    made = np.empty_like(images)
    for k, kernel in enumerate(sigma[:, :, None] * noise):
        kernel[centre, centre] += 1
        made[k] = [ndimage.correlate(channel, kernel, mode="constant") for channel in images[k]]
    return made.clip(0, 1)


def slow_diffeomorphism(images, draws, given, *counters):
    size = images.shape[2:]
    uniform = draws.uniform((2,), "diffeo.cut", *counters).double().numpy()
    share = draws.uniform((), "diffeo.temperature", *counters).double().numpy()
    made = np.empty_like(images)
    for k in range(len(images)):
        largest = given["cut_min"] + 1 + int(uniform[k, 0] * (given["cut_max"] - given["cut_min"]))
        beta = math.sin(math.pi / 2 * uniform[k, 1]) ** 2
        cut = min(int(given["cut_min"] + beta * (largest + 1 - given["cut_min"])), largest, min(size) - 1)
        low, high = (found.item() for found in temperatures(size, torch.tensor([cut], dtype=torch.float64)))
        temperature = low + math.sin(math.pi / 2 * share[k]) ** 2 * (max(low, given["alpha"] * high) - low)
        modes = [(i, j) for i in range(1, cut + 1) for j in range(1, cut + 1) if i**2 + j**2 < (cut + 0.5) ** 2]
        modes.sort(key=lambda mode: (mode[0] ** 2 + mode[1] ** 2, mode[0]))
        rows, columns = np.meshgrid(*(np.linspace(0, 1, side) for side in size), indexing="ij")
        places = list(np.meshgrid(*map(np.arange, size), indexing="ij"))
        for axis, side in (("x", size[1]), ("y", size[0])):
            normal = (
                draws.take(torch.tensor([k])).normal((len(modes),), f"diffeo.{axis}", *counters)[0].double().numpy()
            )
            waves = sum(
                c / math.hypot(i, j) * np.sin(i * math.pi * columns) * np.sin(j * math.pi * rows)
                for c, (i, j) in zip(normal, modes, strict=True)
            )
            places["yx".index(axis)] = places["yx".index(axis)] + math.sqrt(temperature) * side * waves
        made[k] = [ndimage.map_coordinates(channel, places, order=1, mode="nearest") for channel in images[k]]
    return made


SLOW = {"color": slow_color, "filter": slow_filter, "diffeomorphism": slow_diffeomorphism}


def slow_prime(images, draws, given):
    images = images.double().numpy()
    n, width, depth = len(images), given["width"], given["depth"]
    waits = -np.log(draws.uniform((width,), "prime.weights").double().numpy() + 2**-25)
    share = draws.uniform((), "prime.share").double().numpy()[:, None, None, None]
    kinds = draws.integers(len(given["primitives"]), (width, depth), "prime.kind").numpy()
    lengths = np.full((n, width), depth)
    if given["random_depth"]:
        lengths = 1 + draws.integers(depth, (width, 1), "prime.depth").numpy()[:, :, 0]
    mixed = np.zeros_like(images)
    for chain in range(width):
        now = images
        for step in range(depth):
            made = [SLOW[name](now, draws, given[name], chain, step) for name in given["primitives"]]
            for kind, found in enumerate(made):
                drawn = (kinds[:, chain, step] == kind) & (lengths[:, chain] > step)
                now = np.where(drawn[:, None, None, None], found, now)
        mixed += (waits[:, chain] / waits.sum(1))[:, None, None, None] * now
    return (1 - share) * images + share * mixed


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"width": 1, "depth": 1, "random_depth": False},
        {"primitives": ["color"], "color": {"cut": 30, "bandwidth": None, "variance": 0.01}},
        {"primitives": ["filter", "color"], "filter": {"radius": 2, "off_centre": True}, "random_depth": False},
        {"primitives": ["diffeomorphism"], "diffeomorphism": {"cut_max": 9, "alpha": 2}, "width": 2},
    ],
    ids=["defaults", "one", "colour", "filter", "diffeomorphism"],
)
def test_images_are_those_of_a_slow_computation(changes):
    x, given = pictures(5), options(**changes)
    made = prime(x, draws(5), given)
    expected = slow_prime(x, draws(5), given)
    assert abs(made - x).max() > 0.05
    np.testing.assert_allclose(made.numpy(), expected, atol=1e-2)  # filters amplify rounding, where colours are steep
    assert abs(made.numpy() - expected).mean() < 2e-5


def test_every_primitive_has_a_slow_form():
    assert list(SLOW) == list(PRIMITIVES)


# Mixing


def test_weights_are_dirichlet_and_the_share_is_uniform():
    weights, share = _shares(Draws(0, range(3000)), 3)
    torch.testing.assert_close(weights.sum(1), torch.ones(3000))
    for chain in range(3):
        assert stats.kstest(weights[:, chain], stats.beta(1, 2).cdf).pvalue > 0.01
    assert stats.kstest(share, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(weights[:, 0], share)[0, 1]) < 0.06
    alone, _ = _shares(Draws(0, range(3000)), 1)
    assert torch.equal(alone, torch.ones(3000, 1))


def test_chains_have_uniform_lengths_and_primitives():
    links = _links(Draws(0, range(2000)), options(depth=3))
    assert links.shape == (3, 2000, 3)
    lengths = (links >= 0).sum(2)
    assert ((links >= 0) == (torch.arange(3) < lengths[..., None])).all(), "a chain ends once"
    for chain in range(3):
        assert stats.chisquare(torch.bincount(lengths[chain] - 1, minlength=3)).pvalue > 0.01
        assert stats.chisquare(torch.bincount(links[chain, :, 0])).pvalue > 0.01
    assert (_links(Draws(0, range(50)), options(depth=2, random_depth=False)) >= 0).all()


def test_without_strength_an_image_stays_as_it_is():
    x = pictures()
    still = options(primitives=["color", "filter"], color={"variance": 0}, filter={"sigma": 0})
    torch.testing.assert_close(prime(x, draws(), still), x)


@pytest.mark.parametrize(("height", "width"), [(8, 40), (33, 17), (96, 96)])
def test_pixels_stay_in_range_at_any_size(height, width):
    x = pictures(4, height, width)
    before = x.clone()
    strong = options(color={"variance": 5}, filter={"sigma": 50}, diffeomorphism={"alpha": 20})
    made = prime(x, draws(4), strong)
    assert made.shape == x.shape
    assert 0 <= made.min() <= made.max() <= 1
    assert (made - x).abs().mean() > 0.01
    assert torch.equal(x, before), "the images given were changed"


def test_an_image_changes_in_the_same_way_in_any_batch_and_layout():
    x, given = pictures(12), options()
    whole, some = prime(x, draws(12), given), torch.tensor([7, 2])
    torch.testing.assert_close(prime(x[some], draws(12).take(some), given), whole[some], atol=1e-5, rtol=0)
    last = prime(x.to(memory_format=torch.channels_last), draws(12), given)
    torch.testing.assert_close(last, whole, atol=1e-6, rtol=0)
    assert torch.equal(prime(x, draws(12), given), whole)
    assert (prime(x, draws(12, seed=1), given) - whole).abs().mean() > 0.01
    assert not torch.equal(whole[0], prime(x[:1].expand(2, -1, -1, -1), Draws(0, [5, 6]), given)[0])


def test_what_is_safe_for_masks_keeps_every_pixel_in_its_place():
    assert MASK_SAFE == ("color", "filter")
    x = torch.zeros(8, 3, 24, 24)
    x[:, :, 8:16, 8:16] = 0.5
    safe = options(primitives=list(MASK_SAFE), filter={"sigma": 0.05}, color={"variance": 0.002})
    edges = prime(x, draws(8), safe).mean(1) > 0.25
    assert torch.equal(edges, x[:, 0] > 0.25)
    moved = options(
        primitives=["filter"], filter={"sigma": 0, "off_centre": True}, random_depth=False, depth=1, width=1
    )
    assert not torch.equal(prime(x, draws(8), moved).mean(1) > 0.25, x[:, 0] > 0.25)


def test_on_the_scale_of_the_study_primitives_only_darken():
    x = (pictures(6) * 255).round() / 255
    given = options(primitives=["color", "filter"], depth=1, random_depth=False, parity="paper")
    made = prime(x, draws(), given)
    kept = 1 - draws().uniform((), "prime.share")
    torch.testing.assert_close(made, kept.view(-1, 1, 1, 1) * x, atol=1.01 / 255, rtol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cpu_and_gpu_agree():
    x, given = pictures(8, 64, 48), options()
    there = prime(x.cuda(), Draws(0, range(8), "cuda"), given).cpu()
    torch.testing.assert_close(there, prime(x, draws(8), given), atol=2e-3, rtol=0)
