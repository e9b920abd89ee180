"""Pictures of dense tasks: what they show is the image, the target and the answers, and scores are of one image."""

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mettle import models, schema, tables
from mettle.data import streets, write
from mettle.data.preview import classes_over, distances
from mettle.data.store import Store
from mettle.data.target_store import TargetStore
from mettle.data.targets import Expected
from mettle.evaluation import Evaluation
from mettle.stages.attack.evaluate import evaluate
from mettle.stages.attack.pictures import pictures
from mettle.tasks.scores import SCORES, clean, frame

SMALL = streets.Difficulty(size=32, crop=(16, 64), edge=(28, 10))
NORM = {"mean": [0.5] * 3, "std": [0.25] * 3}
KEYS = {"dataset": "streets", "split": "test", "model": "mine", "attack": "pgd"}


class Job:
    seed, threads, needs_cuda, provenance = 0, 1, False, {"rule": "pictures", "revision": 1}

    def say(self, text):
        pass

    def progress(self, items, *rest):
        return items


class Maps(torch.nn.Module):
    """Logits of the ten digits, or distances, of every pixel from the colours around it."""

    mean, std, size = torch.zeros(3), torch.ones(3), (32, 32)

    def __init__(self, task):
        super().__init__()
        self.task = task
        self.layer = torch.nn.Conv2d(3, 10 if task == "segmentation" else 1, 3, padding=1)

    def forward(self, images):
        found = self.layer(images)
        return found if self.task == "segmentation" else 1 + 9 * found[:, 0].sigmoid()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streets")
    path, expected = folder / "test.lmdb", Expected(("label_map", "depth", "objects"), classes=10, map_classes=11)
    items = [streets.street(0, "test", index, SMALL) for index in range(9)]
    write(path, folder / "test.parquet", items, table=tables.DENSE_MANIFEST, expected=expected)
    return path


@pytest.fixture(params=["segmentation", "depth"])
def made(request, store, monkeypatch, tmp_path):
    """Task, options, and the rows of five images."""
    torch.manual_seed(0)
    model = Maps(request.param).eval()
    about = {"task": request.param, "arch": "none"}
    monkeypatch.setattr("mettle.evaluation.load", lambda path: (model, about))
    monkeypatch.setattr("mettle.evaluation.folded", lambda model, images: model)
    monkeypatch.setattr(models, "exact", lambda model: model)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"")
    evaluation = Evaluation(weights, store, "streets", "fp32", 2, Job())
    options = schema.check({"method": "pgd", "norm": "linf", "eps": "8/255", "steps": 3}, "attacks/pgd", "here")
    return SimpleNamespace(
        task=request.param,
        model=model,
        evaluation=evaluation,
        options=options,
        written=(written := pictures(evaluation, KEYS, options, 5)),
        rows=pd.DataFrame(written),
    )


def decoded(rows, shows):
    """The pictures of one kind by image."""
    found = rows[rows["shows"] == shows]
    pictures = (np.asarray(Image.open(io.BytesIO(data))) for data in found["image"])
    return dict(zip(found["id"], pictures, strict=True))


def test_every_image_has_five_pictures_in_a_table(made, tmp_path):
    rows = made.rows
    assert (
        rows.groupby("id", sort=False)["shows"].agg(list).tolist()
        == [["image", "target", "answer", "attacked", "attacked_answer"]] * 5
    )
    assert rows["id"].is_monotonic_increasing
    tables.write(tmp_path / "p.parquet", tables.PICTURES, made.written, {})
    assert len(tables.read(tmp_path / "p.parquet", tables.PICTURES)) == 25


def test_images_are_those_of_the_store_and_attacked_ones_lie_in_the_ball(made, store):
    held = Store(store)
    for number, image in decoded(made.rows, "image").items():
        position = held.ids.tolist().index(number)
        assert np.array_equal(image, held.arrays([position])[0])
        after = decoded(made.rows, "attacked")[number].astype(int)
        assert 0 < np.abs(after - image).max() <= 8
    before, after = (decoded(made.rows, part) for part in ("answer", "attacked_answer"))
    assert not any(np.array_equal(before[number], after[number]) for number in before)


def test_answers_and_targets_are_drawn_where_the_target_counts(made, store):
    held = Store(store)
    for number, image in decoded(made.rows, "image").items():
        position = held.ids.tolist().index(number)
        with torch.no_grad():
            output = made.model(torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255)[0]
        targets = TargetStore(held.path)
        if made.task == "segmentation":
            labels, found = targets.label_map(position).astype(int), output.argmax(0).numpy()
            counted = labels < 10  # the background is no class of the model
            expected = [classes_over(image, np.where(counted, values, -1), -1) for values in (labels, found)]
        else:
            depth = targets.depth(position)
            scale = depth[depth > 0].min(), depth.max()
            expected = [distances(np.where(depth > 0, values, 0), *scale) for values in (depth, output.numpy())]
        for shows, picture in zip(("target", "answer"), expected, strict=True):
            assert np.abs(decoded(made.rows, shows)[number].astype(int) - picture).max() <= 1, shows


def test_scores_are_those_of_the_attack_on_the_same_images(made, tmp_path):
    columns = evaluate(made.evaluation, KEYS, made.options, tmp_path / "resume")
    whole = frame({key: np.array(value) if isinstance(value, list) else value for key, value in columns.items()})
    score = next(iter(SCORES[made.task].values()))
    for shows, answers in (("answer", clean(whole)), ("attacked_answer", whole)):
        rows = made.rows[made.rows["shows"] == shows]
        assert rows["measure"].unique().tolist() == [score.measure]
        values = [score.value(answers[answers["id"] == number]) for number in rows["id"]]
        assert rows["value"].tolist() == pytest.approx(values, rel=1e-5)
    assert made.rows.loc[~made.rows["shows"].str.endswith("answer"), "value"].isna().all()
