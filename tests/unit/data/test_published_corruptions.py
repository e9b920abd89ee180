"""Corrupted images as published: read by the clean images that they were made of."""

import itertools

import numpy as np
import pytest
from PIL import Image

from mettle import data
from mettle.data import digits, folder
from mettle.data.conditions import Conditions
from mettle.data.published_corruptions import PUBLISHED, Arrays, Folder
from mettle.data.store import Store
from mettle.plan import corrupted
from mettle.schema import load

N = 12


def test_the_readers_are_those_of_the_plan_and_of_the_schema():
    assert tuple(PUBLISHED) == corrupted.PUBLISHED
    assert set(PUBLISHED) <= set(load("datasets")["properties"]["reader"]["else"]["enum"])


@pytest.fixture
def arrays(tmp_path):
    """Clean digits, and a published set in which an image of severity s is s levels brighter."""
    items = itertools.islice(digits.read(None, "test", 10, 0), N)
    data.write(tmp_path / "test.lmdb", tmp_path / "test.parquet", items, classes=10)
    store = Store(tmp_path / "test.lmdb")
    brighter = [np.minimum(store.arrays(), 250) + np.uint8(severity) for severity in range(1, 6)]
    np.save(tmp_path / "fog.npy", np.concatenate(brighter))
    np.save(tmp_path / "labels.npy", np.tile(store.labels, 5).astype(np.uint8))
    return store, tmp_path


@pytest.mark.parametrize("severity", [1, 2, 5])
def test_arrays_hold_the_images_severity_by_severity(arrays, severity):
    store, source = arrays
    view = Arrays(store, source, ("fog", severity))
    for index in (0, 7, N - 1):
        expected = np.minimum(store.arrays([index])[0], 250) + severity
        assert (np.asarray(view.image(index)) == expected).all()


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("fog.npy", np.zeros((48, 9, 9, 3), np.uint8), r"holds uint8 \(48, 9, 9, 3\), not 8-bit images \(60, h"),
        ("fog.npy", np.zeros((5 * N, 32, 32, 3)), r"fog\.npy holds float64 \(60, 32, 32, 3\), not 8-bit"),
        ("labels.npy", np.zeros(5 * N, np.uint8), r"labels\.npy does not hold the labels of .*test\.lmdb"),
        ("labels.npy", np.array([{}], object), r"labels\.npy cannot be read as an array: .*Python objects"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_the_clean_images_are_refused(arrays, name, array, message):
    store, source = arrays
    np.save(source / name, array)
    with pytest.raises(ValueError, match=message):
        Arrays(store, source, ("fog", 1)).image(0)


def _save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folders(tmp_path):
    """Six clean images of two classes, and the same under fog in ImageNet-C's folders."""
    rng, root = np.random.default_rng(0), tmp_path / "clean"
    for number, name in itertools.product(range(3), ("cat", "dog")):
        _save(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8), root / "val" / name / f"v{number}{name}.JPEG")
        for severity in (1, 5):
            place = tmp_path / "c" / "weather" / "fog" / str(severity) / name
            _save(np.full((32, 32, 3), 10 * number + severity, np.uint8), place / f"v{number}{name}.JPEG")
    data.write(tmp_path / "val.lmdb", tmp_path / "val.parquet", folder.read(root, "val", 2, 0), classes=2)
    return Store(tmp_path / "val.lmdb"), tmp_path / "c"


def test_folders_are_read_by_the_names_of_the_clean_files(folders):
    store, source = folders
    names = store.manifest()["source"]
    for severity in (1, 5):
        view = Folder(store, source, ("fog", severity))
        found = [int(np.asarray(view.image(index)).mean()) for index in range(6)]
        assert found == [10 * int(name.split("/v")[-1][0]) + severity for name in names]
    (source / "weather" / "fog").rename(source / "fog")
    assert Folder(store, source, ("fog", 1)).image(0).size == (32, 32)


def test_an_image_that_is_missing_is_named(folders):
    store, source = folders
    next((source / "weather" / "fog" / "1" / "dog").iterdir()).unlink()
    with pytest.raises(ValueError, match=r"fog/1 has no image v\ddog\.JPEG, but .*val\.lmdb has it: unpack all of the"):
        [Folder(store, source, ("fog", 1)).image(index) for index in range(6)]


def test_published_images_of_the_models_size_are_not_resized_again(folders):
    """ImageNet-C is cropped already: resizing to 256 and cropping again would zoom into it."""
    store, source = folders
    views = [Folder(store, source, ("fog", 1))]
    about = {"size": 32, "resize": 36, "interpolation": "bilinear"}
    images, labels, ids = Conditions(store, np.arange(6), views, about, cropped=True).__getitems__([0, 5])
    expected = [np.asarray(views[0].image(index)) for index in (0, 5)]
    assert (images.permute(0, 2, 3, 1).numpy() * 255).round().astype(int).tolist() == np.stack(expected).tolist()
    assert (labels.tolist(), ids.tolist()) == (store.labels[[0, 5]].tolist(), store.ids[[0, 5]].tolist())


# In the plan


def row(source, reader):
    return {"source": str(source), "reader": reader}


@pytest.mark.parametrize(
    ("reader", "there", "missing"),
    [("cifar_c", "fog.npy", "snow.npy"), ("imagenet_c", "fog/2", "snow/2"), ("imagenet_c", "weather/fog/2", "snow/2")],
)
def test_a_set_that_lacks_a_type_is_refused_before_work_starts(tmp_path, reader, there, missing):
    (tmp_path / there).mkdir(parents=True)
    corrupted.check_published(row(tmp_path, reader), {"types": ["fog"], "severities": [2]}, "here")
    corrupted.check_published(row(tmp_path / "no", reader), {"types": ["snow"], "severities": [2]}, "here")
    with pytest.raises(
        ValueError, match=rf"^here: .*/{missing} does not exist: unpack snow of the published set there"
    ):
        corrupted.check_published(row(tmp_path, reader), {"types": ["fog", "snow"], "severities": [2]}, "here")
