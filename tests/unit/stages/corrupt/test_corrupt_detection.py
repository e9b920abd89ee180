"""The corrupt stage with a detector: answers are lists, and images have several sizes."""

import types

import numpy as np
import pandas as pd
import pytest
import torch

from mettle import data, models, schema, tables
from mettle.corruptions.corrupter import Corrupter
from mettle.data import streets
from mettle.data.store import Store
from mettle.data.targets import Expected
from mettle.evaluation import Evaluation
from mettle.models.adapters import detector
from mettle.stages.corrupt import evaluate
from mettle.tasks.detection import DETECTION
from mettle.tasks.scores import SCORES

JOB = types.SimpleNamespace(
    seed=3,
    threads=1,
    needs_cuda=False,
    say=lambda text: None,
    progress=lambda items, *rest: items,
    provenance={"revision": 1},
)
KEYS = {"dataset": "streets", "split": "test", "model": "m"}
HEAD = {
    **{"channels": 8, "norm": "bn", "levels": 3, "anchor_scales": [4], "anchor_ratios": [1], "anchor_samples": 16},
    **{"candidates": [30, 30], "proposals": 12, "rois": 8, "finest_scale": 14, "sampling_ratio": 1, "box_size": 3},
    **{"box_width": 16, "class_agnostic": True, "mask_size": 4, "mask_convs": 0},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Streets of two sizes."""
    folder = tmp_path_factory.mktemp("streets")
    kinds = [streets.Difficulty(size=size, crop=(16, 64), edge=(28, 10)) for size in (48, 40)]
    items = [streets.street(0, "test", index, kinds[index % 2]) for index in range(6)]
    expected = Expected(("label_map", "objects"), classes=10, map_classes=11)
    data.write(
        folder / "test.lmdb", folder / "test.parquet", items, table=tables.DENSE_MANIFEST, expected=expected, classes=10
    )
    return folder / "test.lmdb"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A detector that has learned nothing, and so finds something everywhere."""
    shape = {"size": 48, "mean": [0.5] * 3, "std": [0.25] * 3}
    given = {"task": "detection", "input": shape, "backbone": {"strides": [4, 8, 16]}, "mask_rcnn": HEAD}
    recipe = schema.check(given, "recipe", "here")
    about = {key: recipe[key] for key in ("task", "backbone", "mask_rcnn")} | recipe["input"]
    about |= {"arch": "resnet10t_half", "classes": 10, "transfer": "full", "threat": "none", "eps": 0.0}
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    models.save(path, detector.create(about, 0).state_dict(), about)
    return path


def run(folder, store, weights, batch=2, job=JOB):
    options = schema.check({"types": ["gaussian_noise", "contrast"], "severities": [1, 5]}, "corruptions", "here")
    evaluation = Evaluation(weights, store, "streets", "fp32", batch, job)
    table, columns = evaluate.evaluate(evaluation, KEYS, options, folder / "resume")
    return table, pd.DataFrame(columns)


@pytest.fixture(scope="module")
def found(tmp_path_factory, store, weights):
    return run(tmp_path_factory.mktemp("found"), store, weights)


def test_the_answers_are_those_of_the_detector_to_the_corrupted_image(found, store, weights):
    held, (model, _) = Store(store), models.load(weights)
    part = found[1].query("corruption == 'contrast' and severity == 5").reset_index(drop=True)
    assert part["id"].tolist() == held.ids.tolist()
    for index in range(len(held)):
        image = Corrupter(seed=JOB.seed)(np.asarray(held.image(index)), "contrast", 5, held.sha256(index))
        with torch.no_grad():
            outputs = model(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
        expected = DETECTION.answers(outputs, DETECTION.targets(held, np.array([index])))
        assert len(expected["labels"][0])
        for name in ("labels", "true_labels", "true_ranges"):
            np.testing.assert_array_equal(part[name][index], expected[name][0])
        np.testing.assert_allclose(part["scores"][index], expected["scores"][0], rtol=1e-4)


def test_a_table_gives_every_score(found, tmp_path):
    table, columns = found
    tables.write(tmp_path / "c.parquet", table, columns)
    read = tables.read(tmp_path / "c.parquet", tables.CORRUPT["detection"])
    for _, part in read.groupby(["corruption", "severity"]):
        values = {name: score.value(part) for name, score in SCORES["detection"].items()}
        assert 0 <= values["box_ap"] <= 1 and 0 <= values["mask_ap"] <= 1 and np.isnan(values["box_ap_large"])


def test_killed_it_goes_on_to_the_same_end(found, store, weights, tmp_path):
    def killed(items, *rest):
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, store, weights, job=types.SimpleNamespace(**vars(JOB) | {"progress": killed}))
    _, again = run(tmp_path, store, weights)
    for name in again:
        assert all(map(np.array_equal, again[name], found[1][name])), name
