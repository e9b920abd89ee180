"""The represent stage: what a model makes of images that all models share."""

import itertools
import shutil
import types

import numpy as np
import pytest
import torch

from mettle import models, tables
from mettle.data import digits, write
from mettle.data.store import Store
from mettle.evaluation import Evaluation
from mettle.stages import represent

N = 40
PAIR = ("resnet8", "vgg5")
KEYS = {"dataset": "digits", "images": "natural", "model": "m"}
MEAN, STD = [0.5] * 3, [0.25] * 3
COMPUTES = f"computes on CPU in fp32: {N} images in batches of 16, 1 threads"
JOB = types.SimpleNamespace(
    seed=0, threads=1, needs_cuda=False, say=lambda text: None, progress=lambda items, *rest: items
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    items = itertools.islice(digits.read(None, "test", 10, 0), N)
    write(folder / "test.lmdb", folder / "test.parquet", items)
    return folder / "test.lmdb"


def evaluation(weights, store, job=JOB):
    return Evaluation(weights, store, "digits", "fp32", 16, job)


def saved(folder, arch="resnet8", change=None, resize=None):
    model = models.create(arch, 10, 32, MEAN, STD, 1)
    if change:
        change(model)
    about = {
        "arch": arch,
        "classes": 10,
        "size": 32,
        "resize": resize,
        "interpolation": "bilinear",
        "mean": MEAN,
        "std": STD,
    }
    models.save(folder / f"{arch}.safetensors", model, about | {"threat": "none", "eps": 0.0})
    return folder / f"{arch}.safetensors"


def run(weights, store, sample=1000, precision="fp32", batch=16, seed=0, **keys):
    job = types.SimpleNamespace(**vars(JOB) | {"seed": seed})
    keys = KEYS | keys
    evaluation = Evaluation(weights, store, keys["dataset"], precision, batch, job)
    parts = list(represent.extract(evaluation, keys, sample))
    vectors = ("id", "label", "prediction", "logits", "features")
    return {
        key: np.concatenate([part[key] for part in parts])
        if key in vectors
        else [v for part in parts for v in part[key]]
        for key in parts[0]
    }


@pytest.mark.parametrize("arch", ["resnet8", "xcit_mini"])
def test_columns_are_the_models_answer(tmp_path, store, arch):
    weights = saved(tmp_path, arch)
    found, (model, _), held = run(weights, store), models.load(weights), Store(store)
    with torch.inference_mode():
        logits, features = model.both(torch.from_numpy(held.arrays()).permute(0, 3, 1, 2).float() / 255)
    assert set(found) == set(tables.REPRESENT.columns)
    assert found["id"].tolist() == held.ids.tolist()
    assert found["label"].tolist() == held.labels.tolist()
    assert found["prediction"].tolist() == logits.argmax(1).tolist()
    assert (found["dataset"], found["images"], found["model"]) == (["digits"] * N, ["natural"] * N, ["m"] * N)
    np.testing.assert_allclose(found["logits"], logits, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["features"], features, rtol=0, atol=1e-4)
    assert found["features"].shape == (N, model.last.in_features)
    assert found["features"].dtype == np.float32


def test_they_fit_their_table(tmp_path, store):
    found = run(saved(tmp_path), store)
    tables.write(tmp_path / "r.parquet", tables.REPRESENT, found, {"rule": "represent"})
    for key in ("logits", "features"):
        assert np.array_equal(tables.vectors(tmp_path / "r.parquet", tables.REPRESENT, key), found[key])


def test_batch_size_does_not_matter(tmp_path, store):
    first, second = (run(saved(tmp_path), store, batch=batch) for batch in (1, 33))
    assert first["id"].tolist() == second["id"].tolist()
    np.testing.assert_allclose(first["features"], second["features"], rtol=0, atol=1e-4)


def test_the_sample_is_shared_by_models_and_drawn_from_the_seed(tmp_path, store):
    first, other = saved(tmp_path), saved(tmp_path, "densenet10")
    sample = run(first, store, 12)
    ids = sample["id"].tolist()
    assert len(ids) == 12
    assert ids == sorted(set(ids))
    assert sample["label"].tolist() == Store(store).labels[ids].tolist()
    assert run(other, store, 12, model="other", batch=5)["id"].tolist() == ids
    assert run(first, store, 12, seed=1)["id"].tolist() != ids
    assert run(first, store, 12, dataset="another")["id"].tolist() != ids
    whole = run(first, store)
    np.testing.assert_allclose(sample["features"], whole["features"][ids], rtol=0, atol=1e-4)


def test_bf16_is_near_and_stored_as_fp32(tmp_path, store):
    exact, rough = run(saved(tmp_path), store), run(saved(tmp_path), store, precision="bf16")
    assert rough["features"].dtype == rough["logits"].dtype == np.float32
    assert not np.array_equal(exact["features"], rough["features"])
    np.testing.assert_allclose(rough["features"], exact["features"], rtol=0.05, atol=0.05 * exact["features"].max())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(tmp_path, store, value):
    weights = saved(tmp_path, change=lambda model: model.network.fc.bias.data.fill_(value))
    with pytest.raises(
        ValueError, match=r"resnet8\.safetensors: logits or features are not finite on some images of .*test\.lmdb$"
    ):
        run(weights, store)


def test_without_a_sample_all_images_are_represented_a_batch_at_a_time(tmp_path, store):
    job = types.SimpleNamespace(**vars(JOB))
    parts = list(represent.extract(evaluation(saved(tmp_path), store, job), KEYS | {"images": "train"}))
    assert [len(part["id"]) for part in parts] == [14, 13, 13]
    ids = np.concatenate([part["id"] for part in parts])
    assert sorted(ids) == list(range(N)) != ids.tolist(), "training images come in random order"
    assert tables.stream(tmp_path / "r.parquet", tables.REPRESENT, parts) == N


def test_inverted_images_are_taken_as_they_are(tmp_path, store):
    """Their size is the network's, so the evaluation's resize and crop would cut them."""
    plain, cropped = saved(tmp_path), saved(tmp_path / "cropped", resize=40)
    expected = run(plain, store)["features"]
    found = run(cropped, store, None, images="inverted-m")["features"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert np.abs(run(cropped, store)["features"] - expected).max() > 0.01


# Each on images inverted through the other


@pytest.fixture
def inverted(tmp_path, store):
    """Files of two models, of which the images are the same; each with an answer of its own that cannot be mistaken."""

    def files(arch):
        folder = tmp_path / "invert" / f"{arch}.lmdb"
        folder.parent.mkdir(exist_ok=True)
        for ending in (".lmdb", ".parquet"):
            shutil.copy(store.with_suffix(ending), folder.with_suffix(ending))
        weights = tmp_path / "train" / arch / "weights.safetensors"
        weights.parent.mkdir(parents=True)
        saved(tmp_path, arch).rename(weights)
        seen = tmp_path / "represent" / f"inverted-{arch}" / f"{arch}.parquet"
        keys = KEYS | {"images": f"inverted-{arch}", "model": arch}
        tables.stream(seen, tables.REPRESENT, represent.extract(evaluation(weights, folder), keys))
        return represent.Inverted(arch, str(weights), str(folder), str(seen))

    return [files(arch) for arch in PAIR]


def crossed(tmp_path, inverted, log=None, fail_at=None):
    """Cross two models, or stop before a pass."""

    def progress(items, text, *rest):
        for number, item in enumerate(items):
            if text == "cross" and number == fail_at:
                raise KeyboardInterrupt
            yield item

    job = types.SimpleNamespace(**vars(JOB) | {"progress": progress, "provenance": {"revision": 1}})
    job.say = (log if log is not None else []).append
    represent.cross(tmp_path / "out", evaluation(None, None, job), inverted[1], inverted[:1], tmp_path / "resume")
    return tmp_path / "out"


def test_crossed_files_hold_both_directions_and_what_each_makes_of_its_own(tmp_path, inverted):
    folder = crossed(tmp_path, inverted)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {f"inverted-{a}/{b}.parquet" for a in PAIR for b in PAIR}
    for a, b in itertools.product(PAIR, PAIR):
        found = tables.read(folder / f"inverted-{a}" / f"{b}.parquet", tables.REPRESENT, ["images", "model", "logits"])
        assert found["images"].unique().tolist() == [f"inverted-{a}"] and found["model"].unique().tolist() == [b]
        own = tables.vectors(inverted[PAIR.index(b)].seen, tables.REPRESENT, "logits")  # of the same images here
        np.testing.assert_allclose(np.stack(found["logits"]), own, rtol=0, atol=1e-5)
    assert (folder / "inverted-vgg5" / "vgg5.parquet").stat().st_nlink == 2, "a link takes no room"
    assert not (tmp_path / "resume").exists()


def test_a_killed_crossing_leaves_nothing_and_goes_on(tmp_path, inverted):
    with pytest.raises(KeyboardInterrupt):
        crossed(tmp_path, inverted, fail_at=1)
    assert not (tmp_path / "out").exists()
    (done,) = (tmp_path / "resume").rglob("*.parquet")
    before = done.stat().st_mtime_ns
    (done.parent / ".half.parquet.1.tmp").write_bytes(b"half")
    log = []
    folder = crossed(tmp_path, inverted, log)
    assert log == ["resuming with 1 of 2 files done", f"vgg5 on inverted-resnet8 images: {COMPUTES}"]
    assert (folder / done.parent.name / done.name).stat().st_mtime_ns == before
    assert not list(folder.rglob(".*"))


def test_files_of_other_weights_are_not_gone_on_with(tmp_path, inverted):
    with pytest.raises(KeyboardInterrupt):
        crossed(tmp_path, inverted, fail_at=1)
    assert len(list((tmp_path / "resume").rglob("*.parquet"))) == 1
    saved(tmp_path, "resnet8", lambda model: model.network.fc.bias.data.fill_(9)).rename(inverted[0].weights)
    log = []
    folder = crossed(tmp_path, inverted, log)
    assert len(log) == 2 and not any("resuming" in line for line in log)
    logits = tables.vectors(folder / "inverted-vgg5" / "resnet8.parquet", tables.REPRESENT, "logits")
    assert logits.min() > 0 > tables.vectors(inverted[0].seen, tables.REPRESENT, "logits").min()


def test_where_there_are_no_links_there_are_copies(tmp_path, inverted, monkeypatch):
    monkeypatch.setattr("pathlib.Path.hardlink_to", lambda *_: (_ for _ in ()).throw(PermissionError("no links")))
    folder = crossed(tmp_path, inverted)
    assert (folder / "inverted-vgg5" / "vgg5.parquet").stat().st_nlink == 1
