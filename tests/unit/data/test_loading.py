"""From store to batches: every image once, the same random changes for any workers and order, images in [0, 1]."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mettle import schema
from mettle.data import loading, transforms
from mettle.data.item import Item, png
from mettle.data.loading import ImageSet, Mixture, batches, evaluation_images, shuffled, split
from mettle.data.store import Store, write

NONE = schema.filled({"augment": {}}, "recipe")["augment"]
AUGMENTS = {
    "crop": {"crop_padding": 4},
    "flip": {"horizontal_flip": True},
    "colour": {"color_jitter": 0.4},
    "rotation": {"rotation": 20},
    "lighting": {"lighting": 0.5},
    "resized": {"random_resized_crop": True},
    "bicubic": {"random_resized_crop": True, "scale": [0.8, 1.2], "ratio": [0.95, 1.05], "interpolation": "bicubic"},
    "upside down": {"vertical_flip": True},
    "rand": {"auto_augment": "rand-m9-mstd0.5-inc1"},
    "auto": {"auto_augment": "original-mstd0.5"},
    "erasing": {"erasing": 0.5},
    "all": {"crop_padding": 4, "horizontal_flip": True, "color_jitter": 0.2, "rotation": 9, "lighting": 0.1},
}


def arrays(n=9, height=32, width=32):
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), np.uint8)


def stored(folder, images):
    items = [Item(png(image), k % 3, "abc"[k % 3], f"made {k}") for k, image in enumerate(images)]
    write(folder / "train.lmdb", folder / "train.parquet", items)
    return Store(folder / "train.lmdb")


@pytest.fixture
def store(tmp_path):
    return stored(tmp_path, arrays())


def collected(images, chosen, workers=0):
    """Images by id."""
    found = {}
    for batch, labels, ids in batches(images, chosen, workers):
        assert len(batch) == len(labels) == len(ids)
        assert torch.equal(labels, ids % 3)
        found |= dict(zip(ids.tolist(), batch, strict=True))
    return found


def same(first, second):
    assert first.keys() == second.keys()
    return [torch.equal(first[key], second[key]) for key in first]


def alike(first, second):
    """Equal up to rounding: transforms multiply by 1 / 255 where images in memory are divided by 255."""
    return torch.allclose(first, second, rtol=0, atol=1e-6)


# Order


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 300), size=st.integers(1, 320), seed=st.integers(0, 2**63), epoch=st.integers(0, 99))
def test_an_epoch_holds_every_index_once_in_batches_of_nearly_equal_size(n, size, seed, epoch):
    chosen = shuffled(n, size, seed, epoch)
    assert sorted(np.concatenate(chosen)) == list(range(n))
    lengths = [len(part) for part in chosen]
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1
    assert len(chosen) == -(-n // size), "more batches than needed"


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch, size=16):
        return np.concatenate(shuffled(100, size, seed, epoch)).tolist()

    first = order(0, 0)
    np.random.seed(5)
    assert order(0, 0) == first
    assert order(0, 0, size=7) == first
    assert order(0, 1) != first
    assert order(1, 0) != first
    assert first != list(range(100))


def test_split_keeps_the_order():
    assert [part.tolist() for part in split(np.arange(7), 3)] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [part.tolist() for part in split(np.array([5, 2]), 9)] == [[5, 2]]


# Images without random changes


def test_images_are_the_stores_in_0_to_1(store):
    images = ImageSet(store, 32, None, dict(NONE))
    assert len(images) == 9
    found = collected(images, split(np.arange(9), 4))
    for key, image in found.items():
        assert image.dtype == torch.float32
        assert torch.equal(image, torch.from_numpy(arrays()[key]).permute(2, 0, 1).float() / 255)
    assert min(image.min() for image in found.values()) == 0
    assert max(image.max() for image in found.values()) == 1


def test_batches_come_in_the_order_asked_for(store):
    chosen = [np.array([7, 2]), np.array([0]), np.array([8, 1, 3])]
    for options in ({"resize": None}, {"resize": 40}):
        found = [ids.tolist() for _, _, ids in batches(ImageSet(store, 32, **options), chosen, 2)]
        assert found == [[7, 2], [0], [8, 1, 3]]


@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48), (20, 30), (32, 32)])
@pytest.mark.parametrize(("size", "resize"), [(32, 40), (32, 32), (24, 25)])
def test_resize_and_crop_give_the_size(tmp_path, height, width, size, resize):
    images = ImageSet(stored(tmp_path, arrays(2, height, width)), size, resize)
    for image in collected(images, split(np.arange(2), 2)).values():
        assert image.shape == (3, size, size)
        assert image.dtype == torch.float32
        assert 0 <= image.min() < image.max() <= 1


def test_images_of_many_sizes_go_through_resize(tmp_path):
    images = ImageSet(stored(tmp_path, [arrays(1, 20 + 9 * k, 50)[0] for k in range(3)]), 24, 28)
    assert images.__getitems__([0, 1, 2])[0].shape == (3, 3, 24, 24)


def test_the_crop_is_the_centre(tmp_path):
    wide = arrays(1, 32, 64)
    found = ImageSet(stored(tmp_path, wide), 32, 32).__getitems__([0])[0][0]
    assert alike(found, torch.from_numpy(wide[0][:, 16:48]).permute(2, 0, 1).float() / 255)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48), (32, 40)])
@pytest.mark.parametrize("resize", [40, [24, 40], [30, 50]])
def test_an_input_may_be_rectangular(tmp_path, height, width, resize):
    images = ImageSet(stored(tmp_path, arrays(2, height, width)), [24, 40], resize)
    assert images.__getitems__([0, 1])[0].shape == (2, 3, 24, 40)


def test_both_sides_may_be_given_to_resize_which_changes_the_aspect(tmp_path):
    made = stored(tmp_path, arrays(1, 48, 64))
    found = ImageSet(made, [24, 40], [24, 40]).__getitems__([0])[0][0]
    squashed = made.image(0).resize((40, 24), Image.Resampling.BILINEAR)
    assert alike(found, torch.from_numpy(np.array(squashed)).permute(2, 0, 1).float() / 255)


def test_rectangular_images_of_the_inputs_size_are_taken_as_they_are(tmp_path):
    pixels = arrays(2, 20, 30)
    images = ImageSet(stored(tmp_path, pixels), [20, 30], None)
    assert images.ready
    assert alike(images.__getitems__([1])[0][0], torch.from_numpy(pixels[1]).permute(2, 0, 1).float() / 255)


@pytest.mark.parametrize("augment", [{"random_resized_crop": True}, {"crop_padding": 4}, {"horizontal_flip": True}])
def test_training_changes_keep_a_rectangular_input(tmp_path, augment):
    images = ImageSet(stored(tmp_path, arrays(2, 48, 64)), [24, 40], 40, NONE | augment)
    assert images.__getitems__([0, 1])[0].shape == (2, 3, 24, 40)


def test_an_image_that_does_not_cover_the_input_is_refused(tmp_path):
    images = ImageSet(stored(tmp_path, arrays(1, 64, 48)), [24, 40], 30)
    expected = (
        r"^an image of 40x30 pixels once resized is smaller than the input of 24x40: set a larger `resize`, or "
        r"height and width, 24, 40, which changes its aspect$"
    )
    with pytest.raises(ValueError, match=expected):
        images.__getitems__([0])


@pytest.mark.parametrize("augment", [None, {"crop_padding": 4}])
def test_another_size_than_the_models_is_refused(tmp_path, augment):
    made = stored(tmp_path, arrays(2, 20, 30))
    with pytest.raises(
        ValueError, match=r"train\.lmdb holds images of 20x30 pixels, the model takes 32x32: set input\.resize$"
    ):
        ImageSet(made, 32, None, NONE | (augment or {}))


# Random changes


@pytest.mark.parametrize("name", AUGMENTS)
def test_random_changes_depend_on_image_epoch_and_seed_alone(store, name):
    augment = NONE | AUGMENTS[name]
    images = ImageSet(store, 32, None, augment, seed=3)
    first = collected(images, split(np.arange(9), 4))
    torch.manual_seed(1)
    assert all(same(collected(images, [np.array([8, 3]), np.array([5, 0, 1, 2, 7, 6, 4])]), first))
    assert all(same(collected(ImageSet(store, 32, None, augment, seed=3), split(np.arange(9), 1)), first))
    images.epoch = 1
    assert not all(same(collected(images, split(np.arange(9), 4)), first))
    images.epoch = 0
    assert all(same(collected(images, split(np.arange(9), 4)), first))
    assert not all(same(collected(ImageSet(store, 32, None, augment, seed=4), split(np.arange(9), 4)), first))
    for image in first.values():
        assert image.shape == (3, 32, 32)
        assert image.min() >= 0
        assert image.max() <= 1


@pytest.mark.parametrize("name", ["all", "resized", "rand", "erasing"])
def test_number_of_workers_does_not_matter(store, name):
    images = ImageSet(store, 32, None, NONE | AUGMENTS[name], seed=3)
    for images.epoch in (0, 5):
        alone = collected(images, split(np.arange(9), 4))
        assert all(same(collected(images, split(np.arange(9), 3), workers=2), alone))


@pytest.fixture
def told(capfd):
    """What was said of shared memory, once in a process."""
    loading._say_that_it_is_full.cache_clear()
    return lambda: [line for line in capfd.readouterr().err.splitlines() if line.startswith("mettle: /dev/shm is full")]


def test_batches_come_whole_where_shared_memory_is_full(store, monkeypatch, told):
    def full(tensor):
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    images, chosen = ImageSet(store, 32, 40), split(np.arange(9), 2)
    expected = collected(images, chosen)
    assert all(same(collected(images, chosen, 2), expected)) and not told()
    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    assert all(same(collected(images, chosen, 2), expected))
    assert len(told()) == 1


def test_nothing_but_images_needs_shared_memory(store, monkeypatch):
    # What the queue moves there by itself is lost without a word if there is no room.
    monkeypatch.setattr(loading, "get_worker_info", lambda: "some")
    images, labels, ids = loading._sent(ImageSet(store, 32, None).__getitems__([0, 1]))
    assert images.is_shared() and isinstance(labels, np.ndarray) and isinstance(ids, np.ndarray)


def test_where_processes_can_have_no_lock_there_is_one(store, monkeypatch, told):
    def read_only():
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(loading.multiprocessing, "Lock", read_only)
    assert len(collected(ImageSet(store, 32, 40), split(np.arange(9), 2), 2)) == 9 and len(told()) == 1


def test_equal_images_are_changed_differently(tmp_path):
    images = ImageSet(stored(tmp_path, np.repeat(arrays(1), 6, 0)), 32, None, NONE | AUGMENTS["all"])
    found = collected(images, split(np.arange(6), 6))
    assert not any(torch.equal(found[0], found[key]) for key in range(1, 6))


def test_random_changes_leave_the_global_generator_alone(store):
    images = ImageSet(store, 32, None, NONE | AUGMENTS["all"] | AUGMENTS["rand"])
    before, python, numpy = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    images.__getitems__([0, 1, 2])
    assert torch.equal(torch.get_rng_state(), before)
    assert random.getstate() == python
    assert np.random.get_state()[1].tolist() == numpy


def test_flip_mirrors_some_images_and_no_others(store):
    found = collected(ImageSet(store, 32, None, NONE | AUGMENTS["flip"]), split(np.arange(9), 9))
    clean = collected(ImageSet(store, 32, None), split(np.arange(9), 9))
    mirrored = [alike(found[key], clean[key].flip(2)) for key in clean]
    assert {True, False} == set(mirrored)
    assert all(flag or alike(found[key], clean[key]) for flag, key in zip(mirrored, clean, strict=True))


def test_vertical_flip_turns_some_images_and_no_others(store):
    found = collected(ImageSet(store, 32, None, NONE | AUGMENTS["upside down"]), split(np.arange(9), 9))
    clean = collected(ImageSet(store, 32, None), split(np.arange(9), 9))
    turned = [alike(found[key], clean[key].flip(1)) for key in clean]
    assert {True, False} == set(turned)
    assert all(flag or alike(found[key], clean[key]) for flag, key in zip(turned, clean, strict=True))


@pytest.mark.parametrize("key", ["mixup", "cutmix"])
def test_mixing_is_no_change_of_single_images(store, key):
    assert ImageSet(store, 32, None, NONE | {key: 0.8}).ready
    assert not ImageSet(store, 32, None, NONE | {"erasing": 0.1}).ready


def test_padded_crop_shifts_by_at_most_the_padding(store):
    found = collected(ImageSet(store, 32, None, NONE | {"crop_padding": 2}), split(np.arange(9), 9))
    clean = collected(ImageSet(store, 32, None), split(np.arange(9), 9))
    shifts = set()
    for key, image in clean.items():
        padded = torch.nn.functional.pad(image, (2, 2, 2, 2))
        fits = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if alike(padded[:, top : top + 32, left : left + 32], found[key])
        ]
        assert len(fits) == 1
        shifts.update(fits)
    assert len(shifts) > 3


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_training_images_of_another_size_are_resized_as_in_evaluation(tmp_path, interpolation):
    made, chosen = stored(tmp_path, arrays(3, 40, 50)), [0, 2]
    flipped = ImageSet(made, 24, 28, NONE | {"horizontal_flip": True}, interpolation=interpolation)
    flipped = flipped.__getitems__(chosen)[0]
    assert flipped.shape == (2, 3, 24, 24)
    clean = ImageSet(made, 24, 28, interpolation=interpolation).__getitems__(chosen)[0]
    for image, expected in zip(flipped, clean, strict=True):
        assert alike(image, expected) or alike(image, expected.flip(2))


def test_interpolation_of_resize(tmp_path):
    made = stored(tmp_path, arrays(1, 40, 50))
    found = [ImageSet(made, 24, 28, interpolation=name).__getitems__([0])[0] for name in ("bilinear", "bicubic")]
    assert not alike(*found)
    assert torch.equal(ImageSet(made, 24, 28).__getitems__([0])[0], found[0])


def test_images_are_taken_as_the_metadata_of_the_weights_say(tmp_path):
    made, about = stored(tmp_path, arrays(1, 40, 50)), {"size": 24, "resize": 28, "interpolation": "bicubic"}
    found = evaluation_images(made, about).__getitems__([0])[0]
    assert torch.equal(found, ImageSet(made, 24, 28, interpolation="bicubic").__getitems__([0])[0])


@pytest.mark.parametrize("resize", [None, 28, 24])
def test_whole_images_of_the_inputs_size_are_taken_as_they_are(tmp_path, resize):
    made, about = stored(tmp_path, arrays(3, 24, 24)), {"size": 24, "resize": resize, "interpolation": "bicubic"}
    found = evaluation_images(made, about, uncropped=True).__getitems__([2, 0])[0]
    assert alike(found, torch.from_numpy(arrays(3, 24, 24)[[2, 0]]).permute(0, 3, 1, 2).float() / 255)
    assert resize != 28 or not alike(found, evaluation_images(made, about).__getitems__([2, 0])[0])


@pytest.mark.parametrize("resize", [None, 28])
def test_whole_images_of_another_size_lose_no_more_than_the_longer_side(tmp_path, resize):
    made, about = stored(tmp_path, arrays(2, 40, 50)), {"size": 24, "resize": resize, "interpolation": "bicubic"}
    found = evaluation_images(made, about, uncropped=True).__getitems__([0, 1])[0]
    assert torch.equal(found, ImageSet(made, 24, 24, interpolation="bicubic").__getitems__([0, 1])[0])


@pytest.mark.parametrize("name", ["rand", "flip"])
@pytest.mark.parametrize("chosen", [[3, 0, 8], [11, 9], [10, 2]], ids=["first", "second", "both"])
def test_a_batch_of_two_sets_may_hold_images_of_one_only(tmp_path, name, chosen):
    parts = [
        ImageSet(stored(tmp_path / k, arrays(n)), 32, None, NONE | AUGMENTS[name]) for k, n in (("a", 9), ("b", 3))
    ]
    images, labels, ids = Mixture(*parts).__getitems__(chosen)
    for k, index in enumerate(chosen):
        image, label, key = parts[index >= 9].__getitems__([index - 9 * (index >= 9)])
        assert torch.equal(images[k], image[0]) and labels[k] == label
        assert ids[k] == (-1 - key if index >= 9 else key)


def test_lighting_is_one_shift_per_channel_of_known_spread():
    grey, n, std = torch.full((3, 4, 4), 0.5), 4000, 0.3
    torch.manual_seed(0)
    shifts = torch.stack([transforms.light(grey, std) - grey for _ in range(n)])
    assert shifts.flatten(2).std(2).max() < 1e-6, "not one shift for the whole image"
    shifts = shifts[:, :, 0, 0]
    values = torch.tensor([0.2175, 0.0188, 0.0045])
    vectors = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    expected = std * (vectors * values).square().sum(1).sqrt()
    torch.testing.assert_close(shifts.std(0), expected, rtol=0.05, atol=0)
    assert shifts.mean(0).abs().max() < 0.003
    assert shifts.abs().max() <= 6 * expected.max()


def test_lighting_stays_in_range_and_is_nothing_at_std_0():
    image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(transforms.light(image, 0.0), image)
    bright = torch.stack([transforms.light(image, 5.0) for _ in range(50)])
    assert bright.min() >= 0
    assert bright.max() <= 1
    assert (bright == 1).any()


def test_automatic_changes_take_the_place_of_colour_jitter():
    steps = transforms.training(NONE | {"auto_augment": "rand-m9-mstd0.5-inc1", "color_jitter": 0.4}, 32, None)
    kinds = [type(step).__name__ for step in steps.transforms]
    assert "RandAugment" in kinds
    assert "ColorJitter" not in kinds


@pytest.mark.parametrize("text", ["rand-x9", "nonsense", "rand-m9-q1"])
def test_a_notation_that_timm_does_not_know_is_refused(text):
    with pytest.raises(ValueError, match=rf"^augment\.auto_augment is '{text}', which is not in timm's notation$"):
        transforms.automatic(text, 32)


# Erasing


def erased(count=600, mode="pixel", probability=1.0, size=32):
    torch.manual_seed(0)
    image = torch.full((3, size, size), 0.5)
    image[0] += 1e-4  # no noise is ever this
    return image, [transforms.erase(image, probability, mode) for _ in range(count)]


@pytest.mark.parametrize("mode", ["pixel", "channel", "zero"])
def test_an_erased_box_has_area_and_aspect_of_the_paper(mode):
    image, found = erased(mode=mode)
    areas = []
    for one in found:
        gone = (one != image)[0]
        rows, columns = gone.any(1), gone.any(0)
        assert torch.equal(gone, rows[:, None] & columns[None]), "no box"
        height, width = int(rows.sum()), int(columns.sum())
        areas.append(height * width / 32**2)
        if height:
            assert 0.2 < height / width < 5  # 0.3 to 3.3 before rounding to pixels
        assert one.min() >= 0 and one.max() <= 1
    areas = np.array(areas)
    assert areas.min() > 0.01 and areas.max() < 0.36
    assert areas.mean() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.01)


def test_erasing_spares_the_others():
    image, found = erased(probability=0.25)
    assert np.mean([one is not image for one in found]) == pytest.approx(0.25, abs=0.05)


def test_what_fills_an_erased_box():
    image, found = erased(200)
    noise = torch.cat([one[:, (one != image)[0]].flatten() for one in found])
    # Normal noise of mean 0.5 and standard deviation 0.25, truncated at two standard deviations.
    assert noise.mean() == pytest.approx(0.5, abs=0.005)
    assert noise.std() == pytest.approx(0.25 * 0.8796, abs=0.005)
    image, found = erased(50, "channel")
    for one in found:
        box = one[:, (one != image)[0]]
        assert all(len(channel.unique()) == 1 for channel in box)
        assert len(box[:, 0].unique()) == 3
    image, found = erased(50, "zero")
    assert all((one[:, (one != image)[0]] == 0).all() for one in found)


@pytest.mark.parametrize("text", ["rand-m10-n10-inc1", "rand-m9-mstd0.5-inc1", "rand-m0-n10", "original", "augmix-m10"])
def test_the_strongest_level_of_every_policy_works(text):
    import random

    from PIL import Image

    from mettle.data.transforms import automatic

    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    random.seed(0)
    np.random.seed(0)
    change = automatic(text, 32)
    sizes = {change(image).size for _ in range(150)}
    assert sizes == {(32, 32)}


# Views


AUGMIX = {"crop_padding": 4, "horizontal_flip": True, "auto_augment": "augmix-m3-w3"}


def viewed(store, views, seed=0, **changes):
    return ImageSet(store, 32, None, NONE | AUGMIX | changes, seed, views=views)


def test_views_share_all_changes_but_the_automatic_ones(store):
    images, _, ids = viewed(store, 3).__getitems__(range(9))
    assert images.shape == (9, 3, 3, 32, 32) and ids.tolist() == list(range(9))
    plain = ImageSet(store, 32, None, NONE | AUGMIX | {"auto_augment": None}, 0).__getitems__(range(9))[0]
    assert torch.equal(images[:, 0], plain), "the first view has crop and flip only"
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (images[:, first] != images[:, second]).flatten(1).any(1).all()
    apart = (images[:, 1:] - images[:, :1]).abs().mean()
    assert apart < (images[:, 0] - images[:, 0].roll(1, 0)).abs().mean(), "views are of one image"


def test_views_depend_on_seed_epoch_and_image_alone(store):
    images = viewed(store, 3)
    whole, state = images.__getitems__(range(9))[0], torch.get_rng_state()
    random.seed(5)
    np.random.seed(7)
    before = random.getstate(), np.random.get_state()[1].tolist()
    assert torch.equal(images.__getitems__([7, 2])[0], whole[[7, 2]])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert torch.equal(torch.get_rng_state(), state)
    for workers in (0, 2):
        assert same(collected(images, [np.array([4, 1]), np.array([8])], workers), {k: whole[k] for k in (4, 1, 8)})
    images.epoch = 1
    assert not torch.equal(images.__getitems__([2])[0], whole[[2]])
    assert not torch.equal(viewed(store, 3, seed=1).__getitems__([2])[0], whole[[2]])


@pytest.mark.parametrize("changes", [{}, {"horizontal_flip": True}])
def test_views_that_would_not_differ_are_refused(store, changes):
    with pytest.raises(
        ValueError, match=r"^a loss of several views needs augment\.auto_augment or augment\.prime, which"
    ):
        ImageSet(store, 32, None, NONE | changes, views=3)


def test_augmix_mixes_an_image_with_chains_of_its_changes(store):
    # One view; the mixture of uniform grey with its changes that keep colours is grey again.
    images = viewed(store, 1, crop_padding=0, horizontal_flip=False)
    made, plain = images.__getitems__(range(9))[0], torch.from_numpy(arrays()).permute(0, 3, 1, 2) / 255
    assert 0.01 < (made - plain).abs().mean() < 0.4
    assert 0 <= made.min() <= made.max() <= 1
