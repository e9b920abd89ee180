"""What each corruption does, in closed form or against a plain implementation."""

import colorsys
import io
import math

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from test_corruptions import image

from mettle.corruptions import blur, digital, kernels, noise, weather
from mettle.corruptions.parameters import FAMILIES

X = image().astype(np.float32) / 255
GREY = np.full((96, 96, 3), 0.5, np.float32)
PARAMETERS = FAMILIES["imagecorruptions"]


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("sigma", PARAMETERS["gaussian_noise"])
def test_gaussian_noise_has_its_standard_deviation(sigma):
    added = noise.gaussian_noise(GREY, rng(), sigma) - GREY
    assert added.std() == pytest.approx(sigma, rel=0.02) and abs(added.mean()) < 0.01 * sigma * 5


@pytest.mark.parametrize("sigma", PARAMETERS["speckle_noise"])
def test_speckle_noise_is_in_proportion_to_the_pixel(sigma):
    assert (noise.speckle_noise(GREY, rng(), sigma) - GREY).std() == pytest.approx(sigma / 2, rel=0.02)
    assert (noise.speckle_noise(0 * GREY, rng(), sigma) == 0).all()


@pytest.mark.parametrize("share", PARAMETERS["impulse_noise"])
def test_impulse_noise_replaces_its_share_half_by_black(share):
    found = noise.impulse_noise(GREY, rng(), share)
    assert (found == 0).mean() == pytest.approx(share / 2, abs=0.006)
    assert (found == 1).mean() == pytest.approx(share / 2, abs=0.006)
    assert ((found == 0) | (found == 1) | (found == 0.5)).all()


@pytest.mark.parametrize("rate", [*PARAMETERS["shot_noise"], *FAMILIES["cifar_c"]["shot_noise"]])
def test_shot_noise_is_poisson(rate):
    level = np.float32(np.rint(0.5 * 255) / 255)
    counts = noise.shot_noise(np.full((160, 160, 3), level, np.float32), rng(), rate) * rate
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3)
    assert counts.mean() == pytest.approx(level * rate, rel=0.02)
    assert counts.var() == pytest.approx(level * rate, rel=0.04)
    assert (noise.shot_noise(0 * GREY, rng(), rate) == 0).all()


@pytest.mark.parametrize(
    "run", [blur.gaussian_blur, blur.defocus_blur, blur.glass_blur, blur.motion_blur, blur.zoom_blur]
)
def test_blur_leaves_a_flat_image_as_it_is(run):
    flat = np.full((48, 64, 3), 128 / 255, np.float32)
    for parameters in PARAMETERS[run.__name__]:
        found = run(flat, rng(), *(parameters if isinstance(parameters, tuple) else (parameters,)))
        np.testing.assert_allclose(found, flat, atol=0.02 if run is blur.defocus_blur else 2e-3)


@pytest.mark.parametrize("sigma", PARAMETERS["gaussian_blur"])
def test_gaussian_blur_is_that_of_scipy(sigma):
    expected = ndimage.gaussian_filter(X.astype(np.float64), (sigma, sigma, 0), mode="nearest")
    np.testing.assert_allclose(blur.gaussian_blur(X, rng(), sigma), expected, atol=1e-5)


@pytest.mark.parametrize(("radius", "edge"), [*PARAMETERS["defocus_blur"], *FAMILIES["cifar_c"]["defocus_blur"]])
def test_defocus_is_a_convolution_with_its_disk(radius, edge):
    quarter = blur._disk(radius, edge)
    reach = len(quarter) - 1
    places = abs(np.arange(-reach, reach + 1))
    kernel = quarter[places][:, places]
    assert kernel.sum() == pytest.approx(1, abs=0.02)  # its edge is smoothed within a square that large disks fill
    expected = ndimage.convolve(X.astype(np.float64), kernel[..., None].astype(np.float64), mode="mirror")
    np.testing.assert_allclose(blur.defocus_blur(X, rng(), radius, edge), expected, atol=1e-5)


def test_glass_exchanges_pixels_and_its_published_form_copies_them():
    pixels = np.arange(40 * 40 * 3, dtype=np.int64).reshape(40, 40, 3)
    shifts = rng().integers(-2, 2, (2, 36, 36, 2), np.int8)
    swapped, copied = pixels.copy(), pixels.copy()
    blur.shuffle(swapped, shifts, 2, False)
    blur.shuffle(copied, shifts, 2, True)
    assert np.array_equal(np.sort(swapped.ravel()), pixels.ravel()) and not np.array_equal(swapped, pixels)
    assert len(np.unique(copied)) < 0.8 * pixels.size


@pytest.mark.parametrize("angle", [-135, -45, -20, 0, 30, 45])
def test_motion_is_the_weighted_sum_of_shifted_copies(angle):
    weights = np.exp(-(np.arange(7) ** 2) / (2 * 2.0**2))
    expected = np.zeros_like(X, np.float64)
    rows, columns = np.mgrid[: X.shape[0], : X.shape[1]]
    for step, weight in enumerate(weights / weights.sum()):
        down, right = (-np.ceil(step * part - 0.5) for part in (np.sin(np.radians(angle)), np.cos(np.radians(angle))))
        place = (rows - down).clip(0, X.shape[0] - 1), (columns - right).clip(0, X.shape[1] - 1)
        expected += weight * X[tuple(part.astype(int) for part in place)]
    np.testing.assert_allclose(blur.dragged(X, 3, 2.0, angle), expected, atol=1e-5)


def test_zoom_is_the_mean_of_zoomed_copies_about_the_centre():
    square = X[:48, :48]
    expected = square.astype(np.float64)
    for factor in 1 + 0.03 * np.arange(11):
        part = int(np.ceil(48 / factor))
        first = (48 - part) // 2
        large = ndimage.zoom(square[first : first + part, first : first + part], (factor, factor, 1), order=1)
        cut = (len(large) - 48) // 2
        expected = expected + large[cut : cut + 48, cut : cut + 48]
    np.testing.assert_allclose(blur.zoom_blur(square, rng(), 0.03, 11), expected / 12, atol=1e-5)


@pytest.mark.parametrize("factor", PARAMETERS["contrast"])
def test_contrast_draws_channels_towards_their_means(factor):
    found = digital.contrast(X, rng(), factor)
    np.testing.assert_allclose(found.mean(axis=(0, 1)), X.mean(axis=(0, 1)), atol=1e-5)
    np.testing.assert_allclose(found.std(axis=(0, 1)), factor * X.std(axis=(0, 1)), rtol=1e-4)


def hsv(pixel, change):
    return colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel)))


PIXELS = np.concatenate([X.reshape(-1, 3)[:300], np.float32([[0, 0, 0], [1, 1, 1], [0.3, 0.3, 0.3], [1, 0, 0]])])[None]


@pytest.mark.parametrize("more", PARAMETERS["brightness"])
def test_brightness_raises_the_value(more):
    expected = [hsv(pixel, lambda h, s, v: (h, s, min(v + more, 1))) for pixel in PIXELS[0].tolist()]
    np.testing.assert_allclose(digital.brightness(PIXELS, rng(), more)[0], expected, atol=1e-5)


@pytest.mark.parametrize(("gain", "offset"), PARAMETERS["saturate"])
def test_saturate_changes_the_saturation(gain, offset):
    expected = [hsv(pixel, lambda h, s, v: (h, min(s * gain + offset, 1), v)) for pixel in PIXELS[0].tolist()]
    np.testing.assert_allclose(digital.saturate(PIXELS, rng(), gain, offset)[0], expected, atol=1e-4)


@pytest.mark.parametrize("quality", PARAMETERS["jpeg_compression"])
def test_jpeg_is_that_of_pillow(quality):
    file = io.BytesIO()
    Image.fromarray(image()).save(file, "JPEG", quality=quality)
    assert np.array_equal(np.rint(digital.jpeg_compression(X, rng(), quality) * 255), np.asarray(Image.open(file)))


@pytest.mark.parametrize("size", [(427, 640), (375, 500), (333, 500), (224, 224), (33, 47)])
@pytest.mark.parametrize("boxed", [False, True])
def test_pixelate_is_that_of_pillow(size, boxed):
    height, width = size
    pixels = rng().integers(0, 256, (height, width, 3), np.uint8)
    for scale in {*PARAMETERS["pixelate"], *FAMILIES["cifar_c"]["pixelate"]}:
        small = Image.fromarray(pixels).resize((int(width * scale), int(height * scale)), Image.Resampling.BOX)
        large = small.resize((width, height), Image.Resampling.BOX if boxed else Image.Resampling.NEAREST)
        found = digital.pixelate(pixels.astype(np.float32) / 255, rng(), scale, boxed=boxed)
        assert np.array_equal(np.rint(found * 255), np.asarray(large))


def test_pixelate_is_the_mean_of_cells():
    cells = X[:32, :48].reshape(16, 2, 24, 2, 3).mean(axis=(1, 3))
    expected = cells.repeat(2, axis=0).repeat(2, axis=1)
    found = digital.pixelate(X[:32, :48], rng(), 0.5)
    np.testing.assert_allclose(found, expected, atol=1.01 / 255)  # rounded after each axis


def test_a_displacement_is_smoothed_as_scipy_does():
    for shape, sigmas in (((40, 60), (0.4, 0.6)), ((40, 60), (3.0, 5.0)), ((33, 48), (170.0, 170.0))):
        drawn = rng().random(shape, np.float32) * 2 - 1
        expected = ndimage.gaussian_filter(drawn.astype(np.float64), sigmas, mode="reflect", truncate=3)
        np.testing.assert_allclose(digital._smooth_noise(rng(), shape, sigmas), expected, atol=2e-5)


def test_a_plasma_is_in_its_range_and_smoother_the_faster_noise_decays():
    clouds = [weather.plasma(64, decay, rng()) for decay in (1.4, 3)]
    assert all(cloud.min() == 0 and cloud.max() == 1 for cloud in clouds)
    rough, smooth = (np.abs(np.diff(cloud, axis=0)).mean() for cloud in clouds)
    assert smooth < rough / 2


def test_frost_is_a_weighted_sum_with_a_piece_of_a_texture():
    texture = np.full((200, 300, 3), 0.5, np.float32)
    found = weather.frost(X, rng(), 0.8, 0.6, textures=[texture])
    np.testing.assert_allclose(found, 0.8 * X + 0.3, atol=1e-5)
    for shape in ((32, 500), (400, 32)):
        flat = np.zeros((*shape, 3), np.float32)
        assert weather.frost(flat, rng(), 1, 1, textures=[texture]).shape == flat.shape


@pytest.mark.parametrize(("scale", "size"), [(1.1, (40, 60)), (1.0, (40, 60)), (1.1, (70, 50))])
def test_frost_is_enlarged_as_opencv_does(scale, size):
    texture = rng().random((50, 70, 3), np.float32)
    sides = [math.ceil(side * scale * max(size[0] / 50, 1)) for side in (70, 50)]
    large = cv2.resize(texture, sides, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    drawn = rng()
    drawn.integers(1)
    top, left = drawn.integers(sides[1] - size[0] + 1), drawn.integers(sides[0] - size[1] + 1)
    found = weather.frost(np.zeros((*size, 3), np.float32), rng(), 0, 1, textures=[texture], scale=scale)
    np.testing.assert_allclose(found, large[top : top + size[0], left : left + size[1]], atol=1e-5)


def test_fog_keeps_the_brightest_pixel_within_range():
    found = weather.fog(X, rng(), 2.0, 2.0)
    assert found.min() >= 0 and found.max() <= X.max() + 1e-6


def test_snow_mixes_in_a_bright_grey_image_and_adds_flakes_twice():
    flakes = rng().random(X.shape[:2], np.float32)
    grey = (X @ [0.299, 0.587, 0.114])[..., None]
    white = 0.7 * X + 0.3 * np.maximum(X, 1.5 * grey + 0.5)
    found = np.empty_like(X)
    kernels.whiten(X, flakes, np.float32(0.7), found)
    np.testing.assert_allclose(found, white + (flakes + flakes[::-1, ::-1])[..., None], atol=1e-5)


def test_snow_whitens_and_spatter_leaves_the_rest_alone():
    assert weather.snow(X, rng(), *PARAMETERS["snow"][4]).mean() > X.mean()
    changed = (weather.spatter(X, rng(), *PARAMETERS["spatter"][4]) != X).any(axis=2).mean()
    assert 0.02 < changed < 0.9
