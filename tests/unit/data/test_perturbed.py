"""Attacked images in 8 bits stay in the ball, perturbations come back to within eps/255, ids and sources are kept."""

import numpy as np
import pytest
import torch

from mettle import tables
from mettle.data import Store, write, write_perturbed
from mettle.data.item import Item, png
from mettle.data.perturbed import KINDS, adversarial, facts, origin, perturbation

EPS = {"linf": 8 / 255, "l2": 0.5}
N = 12


def clean_pixels(n=N, size=8):
    pixels = np.random.default_rng(0).integers(0, 256, (n, size, size, 3), np.uint8)
    pixels[0], pixels[1] = 0, 255
    return pixels


def as_input(pixels):
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def attack(clean, norm, eps, share=1.0, seed=0):
    """Images in the ball, of which a `share` of the radius is used, as float32."""
    generator = torch.Generator().manual_seed(seed)
    change = torch.randn(clean.shape, generator=generator)
    if norm == "linf":
        change = share * eps * change.sign()
    else:
        change = share * eps * change / change.flatten(1).norm(dim=1)[:, None, None, None]
    return (clean + change).clamp(0, 1)


def distance(change, norm):
    return np.abs(change).max((1, 2, 3)) if norm == "linf" else np.sqrt(np.square(change).sum((1, 2, 3)))


@pytest.fixture
def store(tmp_path):
    made = [Item(png(array), k % 3, "abc"[k % 3], f"val/{k}.png") for k, array in enumerate(clean_pixels())]
    write(tmp_path / "val.lmdb", tmp_path / "val.parquet", made)
    return Store(tmp_path / "val.lmdb")


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "out.lmdb", tmp_path / "out.parquet"


def flags(ids):
    """Flags of images: every third has a zero gradient, none another."""
    return dict.fromkeys(tables.FLAGS, [False] * len(ids)) | {"gradient_zero": [int(number) % 3 == 0 for number in ids]}


def batches(store, norm="linf", size=5, **more):
    clean = as_input(store.arrays())
    attacked = attack(clean, norm, EPS[norm], **more)
    for first in range(0, len(store), size):
        part = slice(first, first + size)
        yield store.ids[part], clean[part], attacked[part], flags(store.ids[part])


# Rounding


@pytest.mark.parametrize("norm", EPS)
@pytest.mark.parametrize("eps", [8 / 255, 4 / 255, 0.0313, 0.1, 0.5, 1 / 1000])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_what_is_stored_is_inside_the_ball(norm, eps, share):
    pixels = clean_pixels(40)
    clean = as_input(pixels)
    attacked = attack(clean, norm, eps, share)
    stored = adversarial(clean.double().numpy(), attacked.double().numpy(), eps, norm)
    change = stored.astype(float) / 255 - pixels.transpose(0, 3, 1, 2) / 255
    assert (distance(change, norm) <= eps * (1 + 1e-9)).all()
    given = (attacked.double() - clean.double()).numpy()
    assert (np.abs(change) <= np.abs(given) + 2e-3 / 255).all(), "rounding goes towards the clean image"
    assert np.abs(change - given).max() < 1 / 255


@pytest.mark.parametrize("levels", [1, 4, 8, 16])
def test_whole_levels_survive_float32(levels):
    # In float32 a change of 8/255 is often a little less, and cutting it off would lose a whole level.
    pixels = clean_pixels(40)
    clean = as_input(pixels)
    attacked = attack(clean, "linf", levels / 255)
    stored = adversarial(clean.double().numpy(), attacked.double().numpy(), levels / 255, "linf")
    sign = np.sign((attacked - clean).numpy())
    expected = np.clip(pixels.transpose(0, 3, 1, 2) + levels * sign, 0, 255)
    assert np.array_equal(stored, expected)


def test_an_image_a_rounding_error_outside_is_brought_back():
    clean = np.zeros((1, 3, 2, 2))
    eps = 8 / 255 * (1 - 1e-6)
    stored = adversarial(clean, np.full_like(clean, 8 / 255), eps, "linf")
    assert (stored == 7).all()


@pytest.mark.parametrize("norm", EPS)
def test_a_perturbation_comes_back_to_within_eps_by_255(norm):
    eps = EPS[norm]
    clean = as_input(clean_pixels()).double().numpy()
    attacked = attack(torch.from_numpy(clean), norm, eps).numpy()
    image = perturbation(clean, attacked, eps)
    back = (image / 127.5 - 1) * eps
    assert np.abs(back - (clean - attacked)).max() <= eps / 255 * (1 + 1e-9)


def test_white_is_what_the_attack_takes_away_and_black_what_it_adds():
    clean = np.full((1, 3, 1, 3), 0.5)
    attacked = clean + np.array([-0.1, 0.0, 0.1])
    assert perturbation(clean, attacked, 0.1)[0, 0, 0].tolist() == [255, 128, 0]


# The store


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", EPS)
def test_a_store_of_every_image_with_ids_labels_and_sources(store, paths, kind, norm):
    assert write_perturbed(*paths, store, batches(store, norm), kind, EPS[norm], norm) == N
    made = Store(paths[0])
    assert np.array_equal(made.ids, store.ids) and np.array_equal(made.labels, store.labels)
    assert made.class_names == store.class_names
    clean = as_input(store.arrays()).double().numpy()
    attacked = attack(as_input(store.arrays()), norm, EPS[norm]).double().numpy()
    expected = {
        "adversarial": adversarial(clean, attacked, EPS[norm], norm),
        "perturbation": perturbation(clean, attacked, EPS[norm]),
    }
    assert np.array_equal(made.arrays(), expected[kind].transpose(0, 2, 3, 1))
    known = store.manifest()
    for source, file, sha256 in zip(made.manifest()["source"], known["source"], known["sha256"], strict=True):
        assert origin(source) == (file, sha256)


def test_the_manifest_says_what_was_done(store, paths):
    write_perturbed(*paths, store, batches(store), "adversarial", 8 / 255, "linf", provenance={"rule": "perturb"})
    made = Store(paths[0])
    assert facts(made) == {"kind": "adversarial", "norm": "linf", "eps": 8 / 255, "clean": store.digest}
    assert made.manifest().attrs["provenance"][-1]["rule"] == "perturb"
    frame = tables.read(paths[1], tables.PERTURBED)
    assert frame["gradient_zero"].tolist() == [number % 3 == 0 for number in range(N)]
    assert not frame[["randomised", "probabilities"]].any(axis=None)


def test_a_sample_keeps_its_ids(store, paths):
    clean = as_input(store.arrays([3, 7]))
    ids = torch.tensor([3, 7])
    assert write_perturbed(*paths, store, [(ids, clean, clean, flags(ids))], "adversarial", 0.1, "linf") == 2
    made = Store(paths[0])
    assert made.ids.tolist() == [3, 7] and made.labels.tolist() == [0, 1]
    assert np.array_equal(made.arrays(), store.arrays([3, 7]))


def test_progress_sees_every_image(store, paths):
    seen = []
    progress = lambda items: (seen.append(item.id) or item for item in items)  # noqa: E731
    write_perturbed(*paths, store, batches(store), "perturbation", 8 / 255, "linf", progress=progress)
    assert seen == list(range(N))


# What is refused


@pytest.mark.parametrize(
    ("kind", "eps", "norm"),
    [("advex", 0.1, "linf"), ("adversarial", 0.1, "l3"), ("adversarial", 0, "linf"), ("perturbation", np.nan, "l2")],
)
def test_unknown_kinds_norms_and_radii_are_refused(store, paths, kind, eps, norm):
    with pytest.raises(ValueError, match=f"^kind must be one of .*, eps more than 0; got {kind}, {norm}, {eps}$"):
        write_perturbed(*paths, store, batches(store), kind, eps, norm)
    assert not paths[0].exists()


def one(store, change=0.0, ids=(4,), clean=None):
    clean = as_input(store.arrays([4])) if clean is None else clean
    return [(list(ids), clean, clean + change, flags(ids))]


def test_images_outside_ball_or_range_are_named(store, paths):
    grey = torch.full((1, 3, 8, 8), 128 / 255)
    rules = [
        (one(store, 0.11, clean=grey), "it is outside the linf ball of radius 0.1"),
        (one(store, 0.05, clean=torch.ones(1, 3, 8, 8)), r"it leaves the pixel range \[0, 1\]"),
        (one(store, -0.05, clean=torch.zeros(1, 3, 8, 8)), r"it leaves the pixel range \[0, 1\]"),
        (one(store, clean=grey + 0.4 / 255), "its clean image is not in 8 bits"),
    ]
    for given, message in rules:
        for kind in KINDS:
            with pytest.raises(ValueError, match=f"^attacked image with id 4: {message}$"):
                write_perturbed(*paths, store, given, kind, 0.1, "linf")
    assert not paths[0].exists()


def test_nan_is_refused(store, paths):
    with pytest.raises(ValueError, match=r"^attacked image with id 4: it has NaN or infinite values$"):
        write_perturbed(*paths, store, one(store, torch.nan), "perturbation", 0.1, "linf")


def test_ids_are_those_of_the_store_and_ascend(store, paths):
    with pytest.raises(ValueError, match=r"val\.lmdb holds no image with id 99"):
        write_perturbed(*paths, store, one(store, ids=(99,)), "adversarial", 0.1, "linf")
    with pytest.raises(ValueError, match="id 4 follows id 4, but the ids of a store increase"):
        write_perturbed(*paths, store, one(store) + one(store), "adversarial", 0.1, "linf")


def test_what_does_not_pair_is_refused(store, paths):
    with pytest.raises(ValueError, match=r"2 ids, clean images \(1, 3, 8, 8\) and attacked .* do not pair"):
        write_perturbed(*paths, store, one(store, ids=(4, 5)), "adversarial", 0.1, "linf")


def test_another_store_is_no_store_of_attacked_images(store):
    with pytest.raises(ValueError, match=r"val\.lmdb has no attacked images: its manifest states no kind, norm, eps"):
        facts(store)
    with pytest.raises(ValueError, match=r"'val/0\.png' names no clean image with its SHA-256"):
        origin("val/0.png")


def test_in_l1_images_in_8_bits_stay_inside_the_ball():
    generator = np.random.default_rng(0)
    clean = generator.integers(0, 256, (6, 3, 8, 8)) / 255
    change = generator.laplace(size=clean.shape)
    attacked = np.clip(clean + 4 * change / np.abs(change).sum((1, 2, 3), keepdims=True), 0, 1)
    found = adversarial(clean, attacked, 4.0, "l1").astype(np.int64)
    size = np.abs(found - np.rint(clean * 255)).sum((1, 2, 3)) / 255
    assert (size <= 4.0).all() and (size > 2.0).all()
