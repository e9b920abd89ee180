"""The corrupt stage with a model of depth, from images of two sizes to scores and their intervals."""

import types

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mettle import data, models, schema, tables
from mettle.corruptions.corrupter import Corrupter
from mettle.data.item import Item, Targets, png
from mettle.data.store import Store
from mettle.data.targets import Expected
from mettle.evaluation import Evaluation
from mettle.plan.corrupted import CLEAN
from mettle.stages.corrupt import evaluate, robustness
from mettle.tasks.depth import DEPTH

SIZES = ((32, 40), (36, 32))
KEYS = {"dataset": "d", "split": "test", "model": "m"}
JOB = types.SimpleNamespace(
    **{"seed": 3, "threads": 1, "needs_cuda": False, "provenance": {"revision": 1}, "say": lambda text: None},
    progress=lambda items, *rest: items,
)
OPTIONS = schema.check({"types": ["contrast", "fog"], "severities": [1, 5]}, "corruptions", "here")


class Bright(nn.Module):
    """Depth from 1 to 9 m that grows with brightness."""

    size = (32, 32)

    def forward(self, images):
        return 1 + 8 * images.mean(1)


@pytest.fixture
def answered(tmp_path, monkeypatch):
    """Cells of clean and corrupted images whose depth maps are right for the clean ones, and their store."""
    rng, items = np.random.default_rng(0), []
    for k in range(5):
        image = rng.integers(0, 256, (*SIZES[k % 2], 3), np.uint8)
        depth = np.round((1 + 8 * (image / 255).mean(2)) * 1000).astype(np.uint16)
        items.append(Item(png(image), None, "", f"made {k}", targets=Targets(depth=depth)))
    expected = Expected(("depth",), depth_range=(1.0, 9.0), depth_crop=(1, 31, 2, 32))
    data.write(tmp_path / "t.lmdb", tmp_path / "t.parquet", items, table=tables.DENSE_MANIFEST, expected=expected)
    about = {"arch": "bright", "classes": 1, "size": 32, "resize": None, "interpolation": "bilinear", "mean": [0] * 3}
    about |= {"std": [1] * 3, "threat": "none", "eps": 0.0, "task": "depth"}
    models.save(tmp_path / "w.safetensors", {"none": torch.zeros(1)}, about)
    monkeypatch.setattr("mettle.evaluation.load", lambda path: (Bright(), about))
    evaluation = Evaluation(tmp_path / "w.safetensors", tmp_path / "t.lmdb", "d", "fp32", 2, JOB)
    cells = []
    for name, options in (("both", OPTIONS), ("clean", OPTIONS | {"types": [CLEAN], "severities": [0]})):
        table, columns = evaluate.evaluate(evaluation, KEYS, options, tmp_path / "resume")
        cells.append(tmp_path / f"{name}.parquet")
        tables.write(cells[-1], table, columns)
    return cells, Store(tmp_path / "t.lmdb")


def test_the_answers_are_those_to_the_corrupted_images_at_their_own_size(answered):
    (cell, _), store = answered
    found = tables.read(cell, tables.CORRUPT["depth"]).query("corruption == 'fog' and severity == 5")
    assert found["id"].tolist() == store.ids.tolist() and (found["valid"] == 30 * 30).all()
    for index, (_, row) in enumerate(found.iterrows()):
        image = Corrupter(seed=JOB.seed)(np.asarray(store.image(index)), "fog", 5, store.sha256(index))
        outputs = Bright()(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
        expected = DEPTH.answers(outputs, DEPTH.targets(store, np.array([index])))
        for name, value in expected.items():
            assert row[name] == pytest.approx(value.item(), rel=1e-3, abs=1e-3)


def test_scores_grow_with_severity_and_have_intervals(answered):
    cells, _ = answered
    rows = pd.DataFrame(robustness.summarise(cells, "depth", OPTIONS["types"], OPTIONS["severities"], 100, 0))
    found = rows[rows["statistic"] == "score"].set_index(["measure", "corruption", "severity"])
    for kind in OPTIONS["types"]:
        clean, weak, strong = (found["value"]["abs_rel", *at] for at in ((CLEAN, 0), (kind, 1), (kind, 5)))
        assert clean < 1e-3 < weak < strong
        assert found["value"]["a1", CLEAN, 0] == 1 > found["value"]["a1", kind, 5]
    assert ((found["lo"] <= found["value"]) & (found["value"] <= found["hi"])).all()
