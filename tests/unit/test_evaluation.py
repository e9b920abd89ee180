"""What an evaluation opens with: the model as it was saved, and the images as it takes them."""

import types

import numpy as np
import pytest
import torch

from mettle import models, tables
from mettle.data.item import Item, Targets, png
from mettle.data.loading import evaluation_images
from mettle.data.store import Store, write
from mettle.data.targets import Expected
from mettle.evaluation import Evaluation
from mettle.models.small import CifarResNet

JOB = types.SimpleNamespace(threads=1, needs_cuda=False)
STATISTICS = {"mean": [0.5] * 3, "std": [0.25] * 3}
ABOUT = {"arch": "resnet8", "classes": 3, "size": 24, "resize": 28, "interpolation": "bilinear"}
ABOUT |= {"threat": "none", "eps": 0.0} | STATISTICS


@pytest.fixture
def store(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 3), np.uint8)
    items = (Item(png(image), 0, "a", "made") for image in images)
    write(tmp_path / "test.lmdb", tmp_path / "test.parquet", items)
    return Store(tmp_path / "test.lmdb")


def test_opening_costs_few_passes(tmp_path, store, monkeypatch):
    models.save(tmp_path / "weights.safetensors", models.create("resnet8", 3, 24, **STATISTICS, seed=0), ABOUT)
    passed, forward = [], CifarResNet.forward
    monkeypatch.setattr(CifarResNet, "forward", lambda self, x: passed.append(len(x)) or forward(self, x))
    Evaluation(tmp_path / "weights.safetensors", store.path, "d", "fp32", 4, JOB).open()
    assert passed == [1, 2, 1], "where the head is, what it makes of its input, the memory layout"


def test_a_rectangular_input_goes_from_weights_to_answers(tmp_path, store):
    about = ABOUT | {"size": [16, 24], "resize": 24}
    models.save(tmp_path / "weights.safetensors", models.create("resnet8", 3, [16, 24], **STATISTICS, seed=0), about)
    opened = Evaluation(tmp_path / "weights.safetensors", store.path, "d", "fp32", 4, JOB).open()
    (batch,) = opened.batches([np.array([2, 0])])
    assert batch.images.shape == (2, 3, 16, 24) and batch.targets.tolist() == [0, 0] and batch.ids == [2, 0]
    assert opened.model(batch.images).shape == (2, 3)


@pytest.mark.parametrize("uncropped", [False, True])
def test_a_model_comes_with_the_images_as_it_takes_them(tmp_path, store, uncropped):
    model = models.create("resnet8", 3, 24, **STATISTICS, seed=0)
    models.save(tmp_path / "weights.safetensors", model, ABOUT)
    opened = Evaluation(tmp_path / "weights.safetensors", store.path, "d", "bf16", 4, JOB).open(uncropped=uncropped)
    found, policy = opened.model, opened.policy
    batch, _, _ = opened.source.__getitems__([0, 2])
    assert torch.equal(batch, evaluation_images(store, ABOUT, uncropped=uncropped).__getitems__([0, 2])[0])
    assert not torch.equal(batch, evaluation_images(store, ABOUT, uncropped=not uncropped).__getitems__([0, 2])[0])
    assert policy.precision == "bf16"
    assert not found.training
    with torch.inference_mode():
        torch.testing.assert_close(found(policy.move(batch)).cpu(), model.eval()(batch), rtol=0, atol=1e-4)


def test_labels_are_scored_only_for_the_classes_that_the_model_was_trained_on(tmp_path, store):
    model, path = models.create("resnet8", 3, 24, **STATISTICS, seed=0), tmp_path / "weights.safetensors"
    for names in (["a", "b", "c"], ["a"], ["0", "1", "2"]):
        models.save(path, model, ABOUT | {"class_names": names})
        Evaluation(path, store.path, "d", "fp32", 4, JOB).open()
    models.save(path, model, ABOUT | {"class_names": ["c", "a", "b"]})
    message = rf"^{path}: class 0 is 'c', but 'a' in {store.path}: the model was trained on classes that are numbered"
    with pytest.raises(ValueError, match=message):
        Evaluation(path, store.path, "d", "fp32", 4, JOB).open()
    Evaluation(path, store.path, "d", "fp32", 4, JOB).open(scored=False)


def test_models_of_maps_take_images_at_their_own_size_and_a_batch_has_one(tmp_path, monkeypatch):
    sizes = [(8, 6), (4, 6), (8, 6), (8, 6), (4, 6)]
    rng, items = np.random.default_rng(0), []
    for k, size in enumerate(sizes):
        targets = Targets(np.full(size, k % 3, np.uint8))
        items.append(Item(png(rng.integers(0, 256, (*size, 3), np.uint8)), None, "", f"made {k}", targets=targets))
    paths = tmp_path / "m.lmdb", tmp_path / "m.parquet"
    write(*paths, items, table=tables.DENSE_MANIFEST, expected=Expected(("label_map",), map_classes=3))
    net = torch.nn.Conv2d(3, 3, 1)
    net.size = (8, 8)
    monkeypatch.setattr("mettle.evaluation.load", lambda path: (net, {"task": "segmentation"}))
    opened = Evaluation(tmp_path / "w", paths[0], "d", "fp32", 2, JOB).open()
    assert [part.tolist() for part in opened.split(np.arange(5))] == [[1, 4], [0, 2], [3]]
    assert [part.tolist() for part in opened.split(np.array([0, 1, 3]))] == [[1], [0, 3]]
    (batch,) = opened.batches([np.array([0, 3])])
    assert batch.images.shape == (2, 3, 8, 6) and batch.ids == [0, 3] and batch.targets[:, 0, 0].tolist() == [0, 0]
    expected = np.stack([np.asarray(opened.source.store.image(k)) for k in (0, 3)])
    assert ((batch.images * 255).round().permute(0, 2, 3, 1).numpy() == expected).all()
    with pytest.raises(ValueError, match=r"images differ in size, \(8, 6\) and \(4, 6\) for example"):
        opened.source.__getitems__([0, 1])
