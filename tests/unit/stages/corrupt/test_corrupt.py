"""The corrupt stage: answers to corrupted images, made on the fly or stored, and example images."""

import io
import itertools
import types

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from mettle import data, models, schema, tables
from mettle.corruptions.corrupter import Corrupter
from mettle.data import digits
from mettle.data.item import Item, png
from mettle.data.store import Store
from mettle.evaluation import Evaluation
from mettle.plan.corrupted import CLEAN
from mettle.stages.corrupt import evaluate, examples, stores

N, KEYS = 24, {"dataset": "digits", "split": "test", "model": "m"}
JOB = types.SimpleNamespace(
    seed=3,
    threads=1,
    needs_cuda=False,
    say=lambda text: None,
    progress=lambda items, *rest: items,
    provenance={"revision": 1},
)
TYPES = ["gaussian_noise", "glass_blur", "contrast"]
PHOTOGRAPHS = load_sample_images().images


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    data.write(
        folder / "test.lmdb", folder / "test.parquet", itertools.islice(digits.read(None, "test", 10, 0), N), classes=10
    )
    return folder / "test.lmdb"


def weights(folder, size=32, resize=None, classes=10):
    about = {"arch": "resnet8", "classes": classes, "size": size, "resize": resize, "interpolation": "bilinear"}
    about |= {"mean": [0.5] * 3, "std": [0.25] * 3, "threat": "none", "eps": 0.0}
    path = folder / f"{size}-{resize}.safetensors"
    models.save(path, models.create("resnet8", classes, size, about["mean"], about["std"], 1), about)
    return path


def options(**given):
    return schema.check({"types": TYPES, "severities": [1, 4]} | given, "corruptions", "here")


def run(folder, store, chosen=None, stored=(), batch=7, job=JOB, **about):
    evaluation = Evaluation(weights(folder, **about), store, "digits", "fp32", batch, job)
    table, columns = evaluate.evaluate(evaluation, KEYS, chosen or options(), folder / "resume", stored)
    return table, pd.DataFrame(columns)


def test_one_row_per_image_and_condition_in_the_order_of_the_store(store, tmp_path):
    table, found = run(tmp_path, store)
    ids = Store(store).ids.tolist()
    assert found["id"].tolist() == ids * 6
    assert found["corruption"].tolist() == [name for name in TYPES for _ in range(2 * N)]
    assert found["severity"].tolist() == ([1] * N + [4] * N) * 3
    tables.write(tmp_path / "c.parquet", table, found)
    assert len(tables.read(tmp_path / "c.parquet", tables.CORRUPT["classification"])) == 6 * N


def test_the_answers_are_those_of_the_model_to_the_corrupted_image(store, tmp_path):
    _, found = run(tmp_path, store)
    held = Store(store)
    model, _ = models.load(tmp_path / "32-None.safetensors")
    run_one = Corrupter(seed=JOB.seed)
    for name, severity in itertools.product(TYPES, (1, 4)):
        images = [run_one(held.arrays([i])[0], name, severity, held.sha256(i)) for i in range(N)]
        with torch.no_grad():
            logits = model(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255)
        own = found[(found["corruption"] == name) & (found["severity"] == severity)]
        assert own["prediction"].tolist() == logits.argmax(1).tolist()
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(held.labels), reduction="none")
        np.testing.assert_allclose(own["loss"], loss, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch", [5, 24])
def test_workers_and_batches_change_nothing(store, tmp_path, threads, batch):
    _, whole = run(tmp_path, store)
    job = types.SimpleNamespace(**vars(JOB) | {"threads": threads})
    _, found = run(tmp_path, store, batch=batch, job=job)
    pd.testing.assert_frame_equal(found.drop(columns=["loss", "margin"]), whole.drop(columns=["loss", "margin"]))
    np.testing.assert_allclose(found["loss"], whole["loss"], atol=1e-5)


def test_stored_images_give_the_same_numbers(store, tmp_path):
    chosen = options(images=10)
    _, made = run(tmp_path, store, chosen)
    paths = []
    for name, severity in itertools.product(TYPES, (1, 4)):
        paths.append(tmp_path / f"{name}-{severity}.lmdb")
        one = chosen | {"types": [name], "severities": [severity]}
        assert stores.write(store, paths[-1], paths[-1].with_suffix(".parquet"), one, "digits", JOB.seed) == 10
    _, read = run(tmp_path, store, chosen, stored=paths)
    pd.testing.assert_frame_equal(read, made)
    assert len(made) == 60 and made["id"].nunique() == 10


def test_clean_images_are_a_cell_of_their_own(store, tmp_path):
    _, found = run(tmp_path, store, options() | {"types": [CLEAN], "severities": [0]})
    model, _ = models.load(tmp_path / "32-None.safetensors")
    with torch.no_grad():
        logits = model(torch.from_numpy(Store(store).arrays()).permute(0, 3, 1, 2).float() / 255)
    assert found["prediction"].tolist() == logits.argmax(1).tolist()
    assert (set(found["corruption"]), set(found["severity"]), len(found)) == ({"clean"}, {0}, N)


def test_a_killed_job_resumes_with_the_same_result(store, tmp_path, monkeypatch):
    _, whole = run(tmp_path, store)
    real, seen = evaluate.answers, []

    def answers(opened, batch):
        if len(seen) == 11:
            raise KeyboardInterrupt
        seen.append(batch.ids)
        return real(opened, batch)

    monkeypatch.setattr(evaluate, "answers", answers)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, store)
    more, said = [], []
    monkeypatch.setattr(evaluate, "answers", lambda *given: more.append(given[1].ids) or real(*given))
    job = types.SimpleNamespace(**vars(JOB) | {"say": said.append})
    _, found = run(tmp_path, store, job=job)
    pd.testing.assert_frame_equal(found, whole)
    assert said[0] == "resuming: 11 of 24 batches are done" and len(more) == 13
    assert sorted(itertools.chain(*seen, *more)) == sorted(Store(store).ids.tolist() * 6)
    assert not (tmp_path / "resume").exists()


# Sizes


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two photographs, 427 x 640 and 160 x 200 pixels."""
    folder = tmp_path_factory.mktemp("photographs")
    pair = PHOTOGRAPHS[0], PHOTOGRAPHS[1][:160, :200]
    items = [Item(png(np.ascontiguousarray(image)), k, str(k), f"photograph {k}") for k, image in enumerate(pair)]
    data.write(folder / "test.lmdb", folder / "test.parquet", items, classes=2)
    return folder / "test.lmdb"


@pytest.mark.parametrize(
    ("given", "corrupted", "seen"),
    [({}, [(427, 640), (160, 200)], 96), ({"resize": 128, "crop": 96}, [(96, 96)] * 2, 96)],
)
def test_images_are_corrupted_at_their_own_size_or_at_that_of_the_crop(
    photographs, tmp_path, monkeypatch, given, corrupted, seen
):
    sizes, inputs, real, answer = [], [], Corrupter.__call__, evaluate.answers
    spied = lambda self, image, *rest, **named: sizes.append(image.shape[:2]) or real(self, image, *rest, **named)  # noqa: E731
    monkeypatch.setattr(Corrupter, "__call__", spied)
    monkeypatch.setattr(evaluate, "answers", lambda *one: inputs.append(one[1].images.shape) or answer(*one))
    chosen = options(types=["contrast"], severities=[2], **given)
    run(tmp_path, photographs, chosen, size=seen, resize=128, classes=2)
    assert sizes == corrupted and inputs == [(2, 3, seen, seen)]


def test_a_crop_of_the_models_size_is_not_resized_again(photographs, tmp_path, monkeypatch):
    inputs, answer = [], evaluate.answers
    monkeypatch.setattr(evaluate, "answers", lambda *one: inputs.append(one[1].images) or answer(*one))
    chosen = options(types=["pixelate"], severities=[3], resize=128, crop=96)
    run(tmp_path, photographs, chosen, size=96, resize=128, classes=2)
    image = Image.fromarray(PHOTOGRAPHS[0]).resize((191, 128), Image.Resampling.BILINEAR).crop((48, 16, 144, 112))
    made = Corrupter(seed=JOB.seed)(np.asarray(image), "pixelate", 3, Store(photographs).sha256(0))
    assert (inputs[0][0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8).tolist() == made.tolist()


def test_an_image_that_is_too_small_is_named(tmp_path):
    items = [Item(png(np.zeros((20, 40, 3), np.uint8)), 0, "a", "small")]
    data.write(tmp_path / "test.lmdb", tmp_path / "test.parquet", items)
    expected = r"test\.lmdb, image 0: corruptions take images of 32 pixels a side or more, got \(20, 40\)$"
    with pytest.raises(ValueError, match=expected):
        run(tmp_path, tmp_path / "test.lmdb", resize=32, classes=1)


def test_noise_depends_on_the_image_and_not_on_its_data_set(photographs, tmp_path):
    rows = [Item(Store(photographs).data(1), 0, "a", "the same")]
    data.write(tmp_path / "one.lmdb", tmp_path / "one.parquet", rows)
    chosen = options(types=["gaussian_noise"], severities=[1])
    for path, name in ((photographs, "two"), (tmp_path / "one.lmdb", "alone")):
        stores.write(path, tmp_path / f"{name}.c.lmdb", tmp_path / f"{name}.c.parquet", chosen, "d", 0)
    assert Store(tmp_path / "two.c.lmdb").data(1) == Store(tmp_path / "alone.c.lmdb").data(0)


# Example images


def test_examples_are_the_images_under_every_condition_beside_the_clean_ones(photographs, tmp_path):
    chosen = options(types=["contrast", "fog"], severities=[1, 5], images=2)
    rows = examples.shown(photographs, "d", chosen, 0)
    tables.write(tmp_path / "e.parquet", tables.EXAMPLES, rows)
    conditions = [("clean", 0), ("contrast", 1), ("contrast", 5), ("fog", 1), ("fog", 5)]
    assert [(row["corruption"], row["severity"]) for row in rows] == [one for one in conditions for _ in range(2)]
    assert [row["id"] for row in rows] == [0, 1] * 5
    sizes = [Image.open(io.BytesIO(row["image"])).size for row in rows]
    assert sizes == [(256, 171), (200, 160)] * 5
    assert [row["value"] is None for row in rows] == [True] * 2 + [False] * 8
    assert rows[2]["value"] > rows[4]["value"]


def test_psnr_is_that_of_its_definition():
    before = np.full((4, 4, 3), 100, np.uint8)
    assert examples.psnr(before, before + np.uint8(10)) == pytest.approx(20 * np.log10(255 / 10))
    assert examples.psnr(before, before) is None
