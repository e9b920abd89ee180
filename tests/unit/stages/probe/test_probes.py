"""Linear probes: the same as layers trained one at a time, repeatable, and right where the answer is known."""

import types

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from mettle import models, tables
from mettle.seeds import derive
from mettle.stages.probe import training
from mettle.stages.probe.features import look

KEYS = {"dataset": "d", "model": "m"}
OPTIONS = {"probes": 3, "epochs": 4, "batch_size": 20, "lr": 0.05, "min_lr": 1e-6, "normalise": False, "buffer": 64}


@pytest.fixture
def train(job):
    """A function that trains probes with these options changed."""
    return lambda files, classes=3, **options: training.train(files, KEYS, OPTIONS | options, classes, job)


def held_out(files):
    """Features and labels of the held-out images."""
    labels = tables.read(files["natural"], tables.REPRESENT, ["label"])["label"].to_numpy()
    return tables.vectors(files["natural"], tables.REPRESENT, "features"), labels


def alone(files, number, job):
    """Loss by epoch and layer of one probe, trained by torch's own layer, optimiser and schedule."""
    train = look(files["train"], "m", "train", 3)
    seed = derive(job.seed, "probe", "d", "m", number)
    torch.manual_seed(seed)
    layer = torch.nn.Linear(train.width, 3)
    optimizer = torch.optim.Adam(layer.parameters(), lr=OPTIONS["lr"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, OPTIONS["epochs"], OPTIONS["min_lr"])
    losses, rates = [], []
    for epoch in range(OPTIONS["epochs"]):
        total, order = 0.0, np.random.default_rng(derive(seed, "order", epoch))
        groups = derive(derive(job.seed, "row groups", "d", "m"), epoch)
        for features, labels in train.chunks(OPTIONS["buffer"], np.random.default_rng(groups)):
            for rows in np.array_split(order.permutation(len(labels)), -(-len(labels) // OPTIONS["batch_size"])):
                loss = F.cross_entropy(layer(torch.from_numpy(features[rows])), torch.from_numpy(labels[rows]))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(rows)
        losses.append(total / train.n)
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    return losses, rates, layer


def test_all_at_once_equal_layers_of_torch_trained_one_at_a_time(blobs, train, job):
    files = blobs(gap=1)
    probes, rows = train(files)
    for number in range(3):
        losses, rates, layer = alone(files, number, job)
        own = [row for row in rows if row["probe"] == number]
        np.testing.assert_allclose([row["loss"] for row in own], losses, rtol=1e-5)
        np.testing.assert_allclose([row["lr"] for row in own], rates, rtol=1e-6)
        np.testing.assert_allclose(probes.weight[number].detach(), layer.weight.detach(), rtol=0, atol=1e-5)
        np.testing.assert_allclose(probes.bias[number].detach(), layer.bias.detach(), rtol=0, atol=1e-5)


def test_a_probe_does_not_depend_on_how_many_there_are(blobs, train):
    files = blobs(gap=1)
    (three, rows), (one, first) = train(files), train(files, probes=1)
    torch.testing.assert_close(one.weight[0], three.weight[0], rtol=0, atol=1e-6)
    assert [row["accuracy"] for row in first] == [row["accuracy"] for row in rows if row["probe"] == 0]


def test_probes_of_a_model_differ(blobs, train):
    probes, rows = train(blobs(gap=1), epochs=1)
    assert len({row["loss"] for row in rows}) == 3
    assert (probes.weight[0] != probes.weight[1]).all()


@pytest.mark.parametrize("normalise", [False, True])
def test_separable_classes_are_all_told_apart(blobs, train, normalise):
    files = blobs(gap=8)
    probes, rows = train(files, normalise=normalise, epochs=8)
    assert [row["accuracy"] for row in rows[-3:]] == [1.0] * 3
    features, labels = held_out(files)
    assert (probes.predict(features, 7) == labels[:, None]).all()


def test_long_training_ends_at_the_optimum_of_logistic_regression(blobs, train):
    files = blobs(gap=0.5, n=600)
    probes, _ = train(files, epochs=150, batch_size=200, buffer=600)
    features = tables.vectors(files["train"], tables.REPRESENT, "features")
    labels = tables.read(files["train"], tables.REPRESENT, ["label"])["label"].to_numpy()
    exact = LogisticRegression(C=1e8, max_iter=1000, tol=1e-10).fit(features, labels)
    best = -np.log(exact.predict_proba(features)[np.arange(600), labels]).mean()
    assert best > 0.3  # the classes overlap, so there is one optimum
    with torch.no_grad():
        logits = probes(torch.from_numpy(features).expand(3, -1, -1)).double()
    for answer in logits:
        assert F.cross_entropy(answer, torch.from_numpy(labels)).item() == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize("buffer", [64, 1000])
def test_standardising_equals_training_on_standardised_features(blobs, represented, train, buffer):
    files = blobs(gap=1)
    ours, rows = train(files, normalise=True, buffer=buffer)
    features = {images: tables.vectors(path, tables.REPRESENT, "features") for images, path in files.items()}
    labels = {images: tables.read(path, tables.REPRESENT, ["label"])["label"] for images, path in files.items()}
    mean, std = features["train"].mean(0, dtype=float), features["train"].std(0, dtype=float)
    scaled = {images: represented((features[images] - mean) / std, labels[images], images) for images in files}
    by_hand, expected = train(scaled, buffer=buffer)
    torch.testing.assert_close(ours.weight, by_hand.weight, rtol=0, atol=1e-5)
    assert [row["accuracy"] for row in rows] == [row["accuracy"] for row in expected]


@pytest.mark.parametrize("buffer", [64, 1000])
def test_every_image_once_an_epoch(blobs, train, monkeypatch, buffer):
    files, seen = blobs(), []

    def note(probes, optimizer, features, labels, orders, batch):
        for rows in [order.permutation(len(labels)) for order in orders]:
            seen.append(features[rows].clone())
        return np.zeros(len(orders))

    monkeypatch.setattr(training, "_pass", note)
    train(files, epochs=2, buffer=buffer)
    expected = 2 * 3 * sorted(tables.vectors(files["train"], tables.REPRESENT, "features")[:, 0].tolist())
    assert sorted(torch.cat(seen)[:, 0].tolist()) == sorted(expected)


def test_seeds_repeat_to_the_byte(blobs, train, tmp_path):
    files, made = blobs(gap=1), []
    for name in ("first", "second"):
        probes, rows = train(files)
        tables.stream(tmp_path / name, tables.PROBE, training.answers(probes, files, KEYS, 32))
        tables.write(tmp_path / f"{name}.epochs", tables.PROBE_EPOCHS, rows)
        made.append([(tmp_path / name).read_bytes(), (tmp_path / f"{name}.epochs").read_bytes()])
    assert made[0] == made[1]


@pytest.mark.parametrize(("seed", "model"), [(1, "m"), (0, "m2")])
def test_seed_and_model_draw_other_probes(blobs, train, job, seed, model):
    files = blobs(gap=1)
    job = types.SimpleNamespace(**vars(job) | {"seed": seed})
    (first, _), (other, _) = train(files), training.train(files, KEYS | {"model": model}, OPTIONS, 3, job)
    assert (first.weight != other.weight).all()


@pytest.mark.filterwarnings("error::UserWarning")  # of torch, on memory that it may not write to
def test_answers_are_those_of_the_layers_image_by_image(blobs, train, tmp_path):
    files = blobs(gap=1, group=16)
    probes, rows = train(files)
    tables.stream(tmp_path / "a.parquet", tables.PROBE, training.answers(probes, files, KEYS, 7), group=16)
    found = tables.read(tmp_path / "a.parquet", tables.PROBE)
    assert found.groupby("images").size().to_dict() == {"train": 150, "natural": 60}
    weight, bias = (tensor.detach().double().numpy() for tensor in (probes.weight, probes.bias))
    for images, path in files.items():
        features, own = tables.vectors(path, tables.REPRESENT, "features"), tables.read(path, tables.REPRESENT)
        part = found[found["images"] == images]
        for column in ("id", "label", "prediction"):
            assert part[column].tolist() == own[column].tolist()
        expected = (np.einsum("nd,kcd->nkc", features, weight) + bias).argmax(2)
        assert np.stack(part["probes"]).tolist() == expected.tolist()
    right = np.stack(part["probes"]) == part["label"].to_numpy()[:, None]
    last = [row["accuracy"] for row in rows if row["epoch"] == OPTIONS["epochs"] - 1]
    assert images == "natural" and right.mean(0).tolist() == last


def test_a_class_without_training_image_is_fine(blobs, train):
    probes, rows = train(blobs(), classes=5, epochs=8)
    assert probes.weight.shape == (3, 5, 5) and rows[-1]["accuracy"] == 1


def test_files_of_different_width_are_refused(blobs, represented, train):
    files = blobs()
    narrow = {"natural": represented(np.zeros((20, 4)), np.zeros(20, int), "natural")}
    message = r"m on train images \(.*\) has 5 features, m on natural images \(.*m-natural\.parquet\) has 4$"
    with pytest.raises(ValueError, match=message):
        train(files | narrow)


def test_constant_features_are_refused(blobs, represented, train):
    files = blobs()
    constant = {"natural": represented(np.ones((20, 5)), np.zeros(20, int), "natural")}
    message = r"^m on natural images \(.*m-natural\.parquet\): features are constant over images$"
    with pytest.raises(ValueError, match=message):
        train(files | constant)


def test_images_sorted_by_class_need_a_buffer_that_holds_them(represented, blobs, train):
    # 200,000 images of 100 classes, buffer 32,768: 7 to 29 % in the first 7 of 8 epochs, in random order 60 %.
    labels = np.repeat(np.arange(40), 16)
    files = blobs() | {"train": represented(np.arange(640 * 5).reshape(640, 5) / 1000, labels)}
    message = (
        r"m on train images \(.*m-train\.parquet\): 640 images are sorted by class and do not fit into probe\.buffer"
    )
    with pytest.raises(ValueError, match=message):
        train(files, classes=40)
    train(files, classes=40, buffer=640, epochs=1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_agrees_with_cpu(blobs, train, monkeypatch):
    files = blobs(gap=1)
    there, _ = train(files)
    monkeypatch.setattr(models, "policy", lambda threads: models.Policy(torch.device("cpu")))
    here, _ = train(files)
    torch.testing.assert_close(there.weight.cpu(), here.weight, rtol=0, atol=1e-4)
