"""Layers stage and the comparison of what it makes: stored vectors, and matrices beside scores computed here."""

import itertools
import types

import numpy as np
import pytest
import torch

from mettle import measures, models, tables
from mettle.data import digits, write
from mettle.evaluation import Evaluation
from mettle.stages import layers, represent
from mettle.stages.compare import layers as compared

N = 40
ABOUT = {"classes": 10, "size": 32, "resize": None, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.25] * 3}
ABOUT |= {"threat": "none", "eps": 0.0}
KEYS = {"dataset": "digits", "images": "natural", "model": "m"}
PAIR = {"dataset": "digits", "images": "natural", "model": "a", "model_b": "b", "measure": "cka"}
CKA = {"method": "cka"}
RESNET = ["stem.2", "stages.0", "stages.1", "stages.2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    write(folder / "test.lmdb", folder / "test.parquet", itertools.islice(digits.read(None, "test", 10, 0), N))
    for arch in ("resnet8", "vgg5", "vit_mini"):
        model = models.create(arch, 10, 32, ABOUT["mean"], ABOUT["std"], 1)
        models.save(folder / f"{arch}.safetensors", model, ABOUT | {"arch": arch})
        made(folder, arch)
    return folder


def evaluation(folder, arch, batch=16):
    job = types.SimpleNamespace(seed=0, threads=1, needs_cuda=False, provenance={"revision": 1})
    job.said = []
    job.say, job.progress = job.said.append, lambda items, *rest: items
    return Evaluation(folder / f"{arch}.safetensors", folder / "test.lmdb", "digits", "fp32", batch, job)


def made(folder, arch, names=None, pool="mean", batch=16, sample=30, name=None):
    parts = layers.extract(evaluation(folder, arch, batch), KEYS | {"model": arch}, sample, names, pool)
    path = folder / f"{name or arch}.parquet"
    tables.stream(path, tables.LAYER_FEATURES, parts, {"rule": "layers"}, group=1)
    return path


def vectors(path):
    groups = tables.read_groups(path, tables.LAYER_FEATURES, ["layer", "id", "features"])
    return {group["layer"][0]: np.stack(group["features"]) for group in groups}


def test_a_row_group_per_layer_holds_the_mean_of_its_output_for_the_images_that_all_models_share(place):
    found = vectors(place / "resnet8.parquet")
    opened = evaluation(place, "resnet8").open(scored=False)
    (batch,) = opened.batches([opened.sample(30)])
    net, x = opened.model.network, (batch.images - opened.model.mean) / opened.model.std
    assert [*found] == RESNET and tables.row_groups(place / "resnet8.parquet", tables.LAYER_FEATURES) == [30] * 4
    with torch.no_grad():
        y = net.stem(x)
        for name, block in zip(RESNET, [torch.nn.Identity(), *net.stages], strict=True):
            y = block(y)
            np.testing.assert_allclose(found[name], y.double().mean((2, 3)), rtol=1e-4, atol=1e-6)
    frame = tables.read(place / "resnet8.parquet", tables.LAYER_FEATURES)
    assert frame["id"].tolist() == 4 * batch.ids and set(frame["model"]) == {"resnet8"}


@pytest.mark.parametrize("arch", ["resnet8", "vgg5", "vit_mini"])
def test_the_last_layer_is_what_represent_stores(place, arch):
    (part,) = represent.extract(evaluation(place, arch, 64), KEYS, 30)
    *_, last = vectors(place / f"{arch}.parquet").values()
    np.testing.assert_allclose(last, part["features"], rtol=1e-4, atol=1e-6)


def test_batches_change_nothing(place):
    found, again = vectors(place / "resnet8.parquet"), vectors(made(place, "resnet8", batch=7, name="by7"))
    for name in RESNET:
        np.testing.assert_allclose(again[name], found[name], rtol=1e-4, atol=1e-6)


def test_layers_can_be_named(place):
    assert [*vectors(made(place, "resnet8", ["stages.1.conv1", "stem"], name="named"))] == ["stages.1.conv1", "stem"]
    said = r"configuration: represent\.layers, model 'resnet8': CifarResNet has no layer 'stage\.0': did you mean"
    with pytest.raises(ValueError, match=said):
        made(place, "resnet8", ["stage.0"], name="wrong")


def test_an_output_that_is_not_finite_is_refused_with_its_layer(place, tmp_path):
    model, _ = models.load(place / "resnet8.safetensors")
    with torch.no_grad():
        model.network.stages[1].bn1.bias.fill_(float("inf"))
    evaluated = evaluation(place, "resnet8")
    models.save(tmp_path / "resnet8.safetensors", model, ABOUT | {"arch": "resnet8"})
    parts = layers.extract(
        evaluated.on(tmp_path / "resnet8.safetensors", place / "test.lmdb"), KEYS, 8, RESNET[2:3], "mean"
    )
    with pytest.raises(ValueError, match=r"layer 'stages\.1' is not finite on some images of .*test\.lmdb"):
        list(parts)


# Similarity


def matrix(rows, *names):
    return np.array([row["value"] for row in rows], float).reshape(*map(len, names))


def test_the_matrix_of_two_models_has_the_score_of_every_pair_of_layers(place):
    a, b = (vectors(place / f"{arch}.parquet") for arch in ("resnet8", "vgg5"))
    rows = compared.similarities(place / "resnet8.parquet", place / "vgg5.parquet", PAIR, CKA)
    tables.write(place / "out.parquet", tables.LAYER_SIMILARITY, rows)
    assert [(row["layer"], row["layer_b"]) for row in rows] == list(itertools.product(a, b))
    expected = [[slow_cka(x, y) for y in b.values()] for x in a.values()]
    np.testing.assert_allclose(matrix(rows, a, b), expected, atol=1e-8)
    assert {row["n"] for row in rows} == {30} and not any(row["note"] for row in rows)


def slow_cka(x, y):
    """Unbiased linear CKA by its definition, Song et al. 2012: from kernel matrices without their diagonals."""

    def hsic(k, m):
        n, ones = len(k), np.ones(len(k))
        k, m = (kernel - np.diag(np.diag(kernel)) for kernel in (k, m))
        whole = (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
        return np.trace(k @ m) + whole - 2 * (ones @ k @ m @ ones) / (n - 2)

    k, m = (features.astype(float) @ features.astype(float).T for features in (x, y))
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize("method", ["cka", "procrustes", "linear_regression"])
def test_a_layer_is_exactly_like_itself_and_a_matrix_with_itself_is_symmetric_where_the_measure_is(place, method):
    path = place / "resnet8.parquet"
    found = matrix(compared.similarities(path, path, PAIR, {"method": method}), RESNET, RESNET)
    defined = ~np.isnan(np.diag(found))
    assert defined.any() and (np.diag(found)[defined] == measures.get(method).scale.self_value).all()
    if measures.get(method).symmetric:
        np.testing.assert_allclose(found, found.T, atol=1e-6)


def test_a_layer_for_which_the_measure_is_undefined_has_rows_that_say_why(place):
    # The class token is the same for all images before the first block.
    path = made(place, "vit_mini", ["norm_pre", "blocks.0"], pool="class_token", name="class_tokens")
    rows = compared.similarities(path, path, PAIR, CKA)
    values = [row["value"] for row in rows]
    assert values == [None, None, None, 1.0]
    assert all(row["note"].startswith("norm_pre: features are constant over images") for row in rows[:3])
    tables.write(place / "undefined.parquet", tables.LAYER_SIMILARITY, rows)


def test_two_files_of_other_images_are_refused(place):
    other = made(place, "vgg5", sample=20, name="fewer")
    with pytest.raises(
        ValueError, match="holds other images than the layers that it is compared with: make both again"
    ):
        compared.similarities(place / "resnet8.parquet", other, PAIR, CKA)
