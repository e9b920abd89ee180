"""Attacks of models that answer with maps: of segmentation by UPerNet, of depth by a small network of this test."""

import types

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mettle import data, models, schema, tables
from mettle.data.item import Item, Targets, png
from mettle.data.store import Store
from mettle.data.targets import Expected
from mettle.evaluation import Evaluation
from mettle.models.adapters import segmenter
from mettle.stages.attack import evaluate, flags
from mettle.tasks import scores
from mettle.tasks.depth import DEPTH

CLASSES, IGNORED, SIZES = 5, 255, ((32, 40), (36, 32))
NORM = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}
KEYS = {"dataset": "d", "split": "test", "model": "m", "attack": "weak"}
EPS = 8 / 255
ABOUT = NORM | {"arch": "resnet10t_half", "size": 32, "resize": None, "interpolation": "bilinear"}
ABOUT |= {"classes": CLASSES, "threat": "none", "eps": 0.0}


def job(**other):
    quiet = {"say": lambda text: None, "progress": lambda items, *rest: items}
    known = {"seed": 0, "threads": 1, "needs_cuda": False, "provenance": {"revision": 1}}
    return types.SimpleNamespace(**quiet | known | other)


def options(method="pgd", **other):
    own = {"pgd": {"steps": 4}, "apgd": {"steps": 5}}[method]
    return schema.check({"method": method, "norm": "linf", "eps": EPS} | own | other, f"attacks/{method}", "here")


def photographs(n=5):
    """Random images of two sizes, in turn."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*SIZES[k % 2], 3), np.uint8) for k in range(n)]


def tensor(image):
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def write(folder, targets, expected):
    items = [
        Item(png(image), None, "", f"made {k}", targets=one)
        for k, (image, one) in enumerate(zip(photographs(), targets, strict=True))
    ]
    data.write(folder / "t.lmdb", folder / "t.parquet", items, table=tables.DENSE_MANIFEST, expected=expected)
    return folder / "t.lmdb"


def attack(weights, store, folder, chosen=None, batch=2, run=None):
    evaluation = Evaluation(weights, store, "d", "fp32", batch, run or job())
    return evaluate.evaluate(evaluation, KEYS, chosen or options(), folder / "resume")


def value(columns, task, *, clean=False):
    answers = scores.frame(columns)
    return scores.main(task).value(scores.clean(answers) if clean else answers)


# Segmentation


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A segmenter that has learned nothing, and resizes and pads its images."""
    head = {"channels": 8, "pool_scales": [1, 2], "auxiliary_channels": 8}
    recipe = schema.check({"input": {"size": 32, **NORM}, "upernet": head}, "recipe", "here")
    about = {key: recipe[key] for key in ("backbone", "upernet")} | ABOUT | {"task": "segmentation"}
    about |= {"map_classes": CLASSES, "ignore": IGNORED, "scale": [44, 36], "transfer": "full"}
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    models.save(path, segmenter.create(about, 0).state_dict(), about)
    return path


@pytest.fixture(scope="module")
def store(weights, tmp_path_factory):
    """Images whose label maps are the segmenter's own answers, so that it is always right, but for ignored pixels."""
    model, _ = models.load(weights)
    found = []
    for image in photographs():
        with torch.no_grad():
            labels = model(tensor(image)).argmax(1)[0].numpy().astype(np.uint8)
        labels[:3] = IGNORED
        found.append(Targets(labels))
    expected = Expected(("label_map",), map_classes=CLASSES, ignore=IGNORED)
    return write(tmp_path_factory.mktemp("maps"), found, expected)


@pytest.fixture(scope="module")
def found(weights, store, tmp_path_factory):
    return attack(weights, store, tmp_path_factory.mktemp("found"))


def test_every_image_has_a_row_in_the_order_of_the_store(found, weights, store, tmp_path):
    assert found["id"].tolist() == Store(store).ids.tolist()
    tables.write(tmp_path / "a.parquet", evaluate.table(weights), found)
    read = tables.read(tmp_path / "a.parquet", tables.ATTACKED["segmentation"])
    pixels = [np.prod(SIZES[k % 2]) - 3 * SIZES[k % 2][1] for k in range(len(read))]
    assert [row.sum() for row in read["true"]] == pixels
    for name in ("clean_predicted", "predicted"):
        assert [row.sum() for row in read[name]] == pixels
    assert scores.main("segmentation").value(read) == value(found, "segmentation")


def test_the_attack_lowers_the_score_within_its_ball(found):
    assert value(found, "segmentation", clean=True) == 1
    assert value(found, "segmentation") < 0.9
    assert (found["loss"] > found["clean_loss"]).all()
    assert found["distance"].min() > 0 and found["distance"].max() <= EPS
    assert not found["gradient_zero"].any() and not found["probabilities"].any()


def test_more_steps_raise_the_loss_further(found, weights, store, tmp_path):
    longer = attack(weights, store, tmp_path, options(steps=12))
    assert longer["loss"].mean() > found["loss"].mean() and longer["queries"].mean() > found["queries"].mean()


def test_other_batches_have_the_same_result(found, weights, store, tmp_path):
    other = attack(weights, store, tmp_path, batch=1)
    np.testing.assert_array_equal(other["clean_intersection"], found["clean_intersection"])
    np.testing.assert_allclose(other["loss"], found["loss"], rtol=1e-2)


@pytest.mark.parametrize("early_stop", [True, False])
def test_auto_pgd_raises_the_same_objective(found, weights, store, tmp_path, early_stop):
    other = attack(weights, store, tmp_path, options("apgd", early_stop=early_stop))
    assert (other["loss"] > other["clean_loss"]).all() and other["distance"].max() <= EPS
    assert value(other, "segmentation") < 0.9


def test_early_stop_does_nothing_where_nothing_is_a_success(found, weights, store, tmp_path):
    other = attack(weights, store, tmp_path, options(early_stop=False))
    assert all(np.array_equal(other[name], found[name]) for name in found)


def test_killed_it_goes_on_to_the_same_end(found, weights, store, tmp_path):
    def killed(items, *rest):
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attack(weights, store, tmp_path, run=job(progress=killed))
    said = []
    again = attack(weights, store, tmp_path, run=job(say=said.append))
    assert all(np.array_equal(again[name], found[name]) for name in found)
    assert said[-1].startswith(f"3 of 3 batches: miou {value(found, 'segmentation'):.4f} of 5 images, clean 1.0000")


def test_other_targets_begin_anew(weights, store, tmp_path):
    evaluation = Evaluation(weights, store, "d", "fp32", 2, job())
    made = evaluation.made_from
    assert made == evaluation.made_from
    maps = [Targets(np.zeros(SIZES[k % 2], np.uint8)) for k in range(5)]
    other = write(tmp_path, maps, Expected(("label_map",), map_classes=CLASSES))
    assert Store(other).digest == Store(store).digest
    assert evaluation.on(weights, other).made_from != made


def test_label_maps_of_other_classes_are_named(weights, tmp_path):
    maps = [Targets(np.arange(np.prod(SIZES[k % 2]), dtype=np.uint8).reshape(SIZES[k % 2]) % 9) for k in range(5)]
    store = write(tmp_path, maps, Expected(("label_map",), map_classes=9))
    with pytest.raises(ValueError, match=r"^image 0: label maps have the values 5, 6, which are none of the model's"):
        attack(weights, store, tmp_path)


# Depth


class Far(nn.Module):
    """Depth from 1 to 9 m by two convolutions."""

    size = (32, 32)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 1, 3, padding=1))

    def forward(self, images):
        return 1 + 8 * self.layers(images)[:, 0].sigmoid()


@pytest.fixture
def far(tmp_path, monkeypatch):
    """Weights of depth and a store whose depth maps are the network's answers, in millimetres."""
    model, maps = Far().eval(), []
    for image in photographs():
        with torch.no_grad():
            depth = (model(tensor(image))[0].numpy() * 1000).round().astype(np.uint16)
        depth[0, :5] = 0
        maps.append(Targets(depth=depth))
    monkeypatch.setattr("mettle.evaluation.load", lambda path: (model, {"task": "depth"}))
    models.save(tmp_path / "w.safetensors", model.state_dict(), ABOUT | {"task": "depth", "arch": "far"})
    expected = Expected(("depth",), depth_range=(1.0, 9.0), depth_crop=(2, 30, 0, 30))
    return tmp_path / "w.safetensors", write(tmp_path, maps, expected)


def test_depth_is_attacked_and_scored_alike(far, tmp_path):
    found = attack(*far, tmp_path)
    tables.write(tmp_path / "a.parquet", evaluate.table(far[0]), found)
    read = tables.read(tmp_path / "a.parquet", tables.ATTACKED["depth"])
    assert read["valid"].tolist() == [28 * 30] * 5
    assert (read["log10_error"] > 5 * read["clean_log10_error"]).all() and found["distance"].max() <= EPS
    before, after = value(found, "depth", clean=True), value(found, "depth")
    assert before < 1e-3 < after and DEPTH.score.value(read) == after
    assert not read[[*tables.FLAGS]].to_numpy().any()


def test_an_attack_of_an_image_without_a_pixel_that_counts_is_refused(far, tmp_path):
    maps = [Targets(depth=np.pad([[2000]], ((0, SIZES[k % 2][0] - 1), (0, SIZES[k % 2][1] - 1)))) for k in range(5)]
    maps = [Targets(depth=one.depth.astype(np.uint16)) for one in maps]
    (tmp_path / "other").mkdir()
    expected = Expected(("depth",), depth_range=(1.0, 9.0), depth_crop=(2, 30, 0, 30))
    store = write(tmp_path / "other", maps, expected)
    with pytest.raises(ValueError, match=r"^images 0, 2: no pixel of the depth map counts: leave the image out, or"):
        attack(far[0], store, tmp_path)


def test_scores_of_a_table_of_lists(found):
    frame = scores.frame(found)
    assert isinstance(frame, pd.DataFrame) and len(frame) == 5 and frame["intersection"][0].shape == (CLASSES,)
    assert scores.clean(frame)["intersection"].map(list).tolist() == found["clean_intersection"].tolist()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_maps_of_probabilities_are_noticed(layout):
    logits = torch.randn(2, CLASSES, 4, 6, generator=torch.Generator().manual_seed(0)).to(memory_format=layout)
    assert not flags._probabilities(logits).any()
    assert flags._probabilities(logits.softmax(1)).all()
    logits[1] = logits[1].softmax(0)
    assert flags._probabilities(logits).tolist() == [False, True]
