"""Published inverted images, in files made as the study makes them, and the lists of seeds and targets behind them."""

import itertools
import zipfile
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import shipped
from imports import ROOT
from mettle import models, schema, tables
from mettle.data import Item, Store, digits, write
from mettle.evaluation import Evaluation
from mettle.plan import sources
from mettle.stages.invert.descent import invert, relative_distance
from mettle.stages.invert.images import matched
from mettle.stages.invert.pair import listed, places
from mettle.stages.invert.published import write_published
from workplace import Workplace

KEYS = {"dataset": "digits", "split": "test"}
TARGETS, SEEDS = [7, 2, 11, 4, 0], [1, 8, 3, 9, 12]
MEAN, STD = [0.5] * 3, [0.25] * 3


def job():
    said = []
    found = {"seed": 0, "threads": 1, "needs_cuda": False, "provenance": {"rule": "take_inverted", "revision": 1}}
    return SimpleNamespace(say=said.append, said=said, progress=lambda items, *rest: items, **found)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Digits whose file names run against the order of the store."""
    path = tmp_path_factory.mktemp("digits") / "test.lmdb"
    items = itertools.islice(digits.read(None, "test", 10, 0), 13)
    named = [Item(one.data, one.label, one.class_name, f"test/{one.label}/{99 - n}.png") for n, one in enumerate(items)]
    write(path, path.with_suffix(".parquet"), named)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("m") / "weights.safetensors"
    about = {"arch": "resnet8", "classes": 10, "size": 32, "resize": None, "interpolation": "bilinear"}
    models.save(
        path,
        models.create("resnet8", 10, 32, MEAN, STD, 1),
        about | {"mean": MEAN, "std": STD, "threat": "none", "eps": 0.0},
    )
    return path


def numbers(path, values):
    """A list as pandas writes it: a head, row numbers, and positions."""
    pd.DataFrame({0: values}).to_csv(path)
    return path


def pixels(store, positions):
    return torch.from_numpy(Store(store).arrays(positions)).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def found(store, weights):
    """Images inverted through the model, in the order of the lists."""
    model, policy = models.load(weights)[0], models.policy(1)
    ball = {"steps": 60, "step_size": 0.125, "momentum": 0.9, "policy": policy}
    return invert(policy.place(model), pixels(store, SEEDS), pixels(store, TARGETS), **ball).images


@pytest.fixture
def place(tmp_path, store, weights, found):
    """Lists, pairs, and a file of the images."""
    lists = {"targets": numbers(tmp_path / "t.csv", TARGETS), "seeds": numbers(tmp_path / "s.csv", SEEDS)}
    tables.write(tmp_path / "pairs.parquet", tables.PAIRS, listed(Store(store), **lists, order="store", keys=KEYS))
    torch.save(found, tmp_path / "resnet8_eps0.pt")
    return SimpleNamespace(folder=tmp_path, found=found, lists=lists, store=store, weights=weights)


def take(place, source=None, targets=..., told=None):
    """Manifest and pixels (n, h, w, 3) of the store that is written."""
    out = place.folder / "out.lmdb", place.folder / "out.parquet"
    row = {"model": "resnet8-plain-s0", "inverted": str(source or place.folder / "resnet8_eps0.pt")}
    evaluation = Evaluation(place.weights, place.store, "digits", "fp32", 3, told or job())
    lists = {"targets": place.lists["targets"] if targets is ... else targets, "order": "store"}
    assert write_published(*out, row, evaluation, place.folder / "pairs.parquet", lists) == len(Store(out[0]))
    return tables.read(out[1], tables.INVERTED), Store(out[0]).arrays()


def test_every_image_stands_under_the_id_of_its_target(place):
    told = job()
    frame, images = take(place, told=told)
    held = Store(place.store)
    assert frame["id"].tolist() == sorted(TARGETS) and frame["step"].isna().all()
    assert frame["label"].tolist() == held.labels[sorted(TARGETS)].tolist()
    order = np.argsort(TARGETS)
    assert frame["seed_id"].tolist() == [SEEDS[k] for k in order]
    wanted = np.rint(place.found.permute(0, 2, 3, 1).numpy() * np.float32(255)).astype(np.uint8)
    assert np.array_equal(images, wanted[order])
    model, policy = models.load(place.weights)[0], models.policy(1)
    rounded = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    loss = relative_distance(model, rounded, pixels(place.store, sorted(TARGETS)), policy)
    np.testing.assert_allclose(frame["loss"].astype(float), loss, rtol=1e-4)
    assert (frame["loss"] < frame["start_loss"]).all() and told.said[-1].startswith("5 images; mean loss ")
    assert "published: " in frame["source"][0] and frame["source"][0].endswith("resnet8_eps0.pt")


def test_eight_bits_are_taken_as_they_are(place):
    cut = place.found.mul(255).to(torch.uint8)  # the study truncates
    torch.save(cut, place.folder / "cut.pt")
    _, images = take(place, place.folder / "cut.pt")
    assert np.array_equal(images, cut.permute(0, 2, 3, 1).numpy()[np.argsort(TARGETS)])


def test_a_file_of_an_archive_is_taken_by_a_pattern(place):
    with zipfile.ZipFile(place.folder / "all.zip", "w") as archive:
        archive.write(place.folder / "resnet8_eps0.pt", "inverted/resnet8_eps0.pt")
        archive.writestr("inverted/resnet8_eps1.pt", b"")
    frame, images = take(place, f"{place.folder / 'all.zip'}#*resnet8_eps0.pt")
    assert np.array_equal(images, take(place)[1]) and len(frame) == 5
    with pytest.raises(
        ValueError, match=r"'\*eps3\.pt' fits 0 names .* there are inverted, inverted/resnet8_eps0\.pt, inv"
    ):
        take(place, f"{place.folder / 'all.zip'}#*eps3.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: torch.cat([x, x]), r"holds 10 images, the lists have 5 pairs$"),  # a set that was appended to itself
        (
            lambda x: x.roll(1, 0),
            r"are nearer to their own target than to that of another, no more than by chance: are",
        ),
        (lambda x: 2 * x, r"holds torch\.float32 outside \[0, 1\], neither 8 bits nor the range of pixels here$"),
        (lambda x: x * torch.nan, r"holds torch\.float32 outside \[0, 1\]"),
        (lambda x: x[:, :, :16, :16], r"the inverted images have 16x16 pixels, the model of .* takes 32x32$"),
        (lambda x: x[0], r"holds a tensor of shape \(3, 32, 32\), not images \(n, 3, h, w\)$"),
        (lambda x: {"images": x}, r"holds a dict, not images \(n, 3, h, w\)$"),
    ],
)
def test_a_file_that_is_no_such_images(place, change, message):
    torch.save(change(place.found), place.folder / "wrong.pt")
    with pytest.raises(ValueError, match=r"^(row 'resnet8-plain-s0', column inverted: .*)?" + message):
        take(place, place.folder / "wrong.pt")
    assert not (place.folder / "out.lmdb").exists()


# Lists


def test_pairs_of_lists_are_pairs_like_any_other(place):
    frame = matched(place.folder / "pairs.parquet", Store(place.store))
    assert frame["target"].tolist() == sorted(TARGETS)
    assert frame["seed"].tolist() == [SEEDS[k] for k in np.argsort(TARGETS)]


def test_positions_may_count_by_file_name(place):
    held = Store(place.store)
    assert places(place.lists["targets"], held, "name").tolist() == [12 - number for number in TARGETS]
    assert places(None, held, "store").tolist() == list(range(13))
    seeds = [next(k for k in range(13) if held.labels[k] != label) for label in held.labels]
    found = listed(held, None, numbers(place.folder / "all.csv", seeds), "store", KEYS)
    assert found["id"].tolist() == list(range(13)) and found["seed_id"].tolist() == seeds


@pytest.mark.parametrize(
    ("targets", "seeds", "message"),
    [
        ([1, 2], [3], r"s\.csv has 1 seeds for 2 targets$"),
        ([1, 1], [3, 4], r"t\.csv has a target twice$"),
        ([1, 13], [3, 4], r"t\.csv names image 13, but .*test\.lmdb has 0 to 12$"),
        (
            [1, 2],
            [3, 2],
            r"s\.csv: 1 of 2 seeds are of their target's class, the first that of target 2: check `order`",
        ),
        ([1, 2.5], [3, 4], r"t\.csv is no list of positions: its last column should be integers under the head 0"),
    ],
)
def test_lists_that_are_wrong(place, targets, seeds, message):
    lists = [numbers(place.folder / f"{name}.csv", values) for name, values in (("t", targets), ("s", seeds))]
    with pytest.raises(ValueError, match=message):
        listed(Store(place.store), *lists, "store", KEYS)


def test_a_list_without_a_head_is_named(place):
    path = place.folder / "bare.csv"
    path.write_text("3\n4\n5\n")
    with pytest.raises(ValueError, match=r"bare\.csv is no list of positions: .*, but it is '3'$"):
        places(path, Store(place.store), "store")


# The plan


ROW = "{}\tten\t{}\tplain\t0\tnone\t0\ttrain\t{}\n"


@pytest.fixture
def work(tmp_path):
    found = Workplace(tmp_path)
    head = "model\tdataset\tarch\trecipe\tseed\tthreat\teps\tsource\tinverted\n"
    rows = ROW.format("resnet8-plain-s0", "resnet8", "zenodo://record/1+2/*ten*#*a.pt") + ROW.format(
        "vgg5-plain-s0", "vgg5", ""
    )
    (tmp_path / "models.tsv").write_text(head + rows)
    numbers(tmp_path / "s.csv", SEEDS)
    return found


def test_a_row_decides_who_inverts_and_lists_decide_who_pairs(work, tmp_path):
    seeds = str(tmp_path / "s.csv")
    found = work.plan(invert={"lists": {"ten": {"seeds": seeds}}}, figures={})
    assert (found.inverted_here, found.inverted_elsewhere) == (["vgg5-plain-s0"], ["resnet8-plain-s0"])
    assert found.drawn_pairs == ["two"] and found.pair_lists({"dataset": "ten"}) == [seeds]
    assert found.lists({"dataset": "ten"}) == {"targets": None, "seeds": seeds, "order": "store"}
    cell = {"dataset": "ten", "model": "resnet8-plain-s0"}
    (download,) = found.downloads.values()
    assert download["url"] == "zenodo://record/1+2/*ten*" and download["where"].endswith("row 'resnet8-plain-s0'")
    assert found.inverted_source(cell) == [str(sources.parse(download["url"], "").path)]
    assert "lists" not in found.inversion


def test_published_images_need_lists_and_their_own_data_set(work, tmp_path):
    cell = {"dataset": "ten", "model": "resnet8-plain-s0"}
    with pytest.raises(
        ValueError, match=r"^configuration: invert\.lists has no 'ten': name the lists of seeds and targets"
    ):
        work.plan(figures={}).inverted_source(cell)
    with pytest.raises(ValueError, match=r"row 'resnet8-plain-s0': its published inverted images are of 'ten', not"):
        work.plan(figures={}).inverted_source(cell | {"dataset": "two"})
    with pytest.raises(
        ValueError, match=r"^configuration: invert\.lists: unknown data set 'tne': did you mean 'ten'\?$"
    ):
        work.plan(invert={"lists": {"tne": {"seeds": "s.csv"}}}, figures={})
    found = work.plan(invert={"lists": {"ten": {"seeds": "none.csv"}}}, figures={})
    with pytest.raises(
        ValueError, match=r"^configuration: invert\.lists\.ten\.seeds: the list none\.csv does not exist$"
    ):
        found.pair_lists({"dataset": "ten"})


def test_a_missing_local_file_of_inverted_images_is_named(work, tmp_path):
    sheet = tmp_path / "models.tsv"
    sheet.write_text(sheet.read_text().replace("zenodo://record/1+2/*ten*#*a.pt", "raw/a.pt"))
    assert work.plan(figures={}).missing({"path": "raw/a.pt"}) == (
        f"raw/a.pt does not exist: put the inverted images there, or correct column `inverted` of {sheet}, row "
        "'resnet8-plain-s0'"
    )


def test_a_wrong_address_names_its_column(work, tmp_path):
    sheet = tmp_path / "models.tsv"
    sheet.write_text(sheet.read_text().replace("zenodo://record/1+2/*ten*#*a.pt", "hf://o/r/f"))
    with pytest.raises(
        ValueError, match=r"row 'resnet8-plain-s0': column inverted has the unknown scheme 'hf'; there are"
    ):
        work.plan(figures={})


def test_the_published_sheet_stands_in_for_the_models_of_the_study():
    ours = schema.read_sheet(ROOT / "config" / "models" / "universality.tsv", "models")
    theirs = schema.read_sheet(ROOT / "config" / "models" / "universality_published.tsv", "models")
    counts = {}
    for name, row in theirs.items():
        same = ("dataset", "label", "arch", "recipe", "seed")
        assert {key: row[key] for key in same} == {key: ours[name][key] for key in same}
        assert row["source"] != "train" and ours[name]["source"] in ("train", row["source"])
        assert ("inverted" in row) == (row["dataset"] != "imagenet100_kaggle")
        counts[row["dataset"]] = counts.get(row["dataset"], 0) + 1
    assert counts == {"imagenet": 34, "imagenet100_kaggle": 20, "cifar10": 28}
    assert {row["recipe"].partition("_")[0] for row in theirs.values()} == {"imagenet", "cifar10"}


def test_its_configuration_plans_figures_from_published_images(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = shipped.plan("paper", "published")
    here = [name for name in found.inverted_here if "sweep" not in found.models[name]]
    assert here == [name for name, row in found.models.items() if row["dataset"] == "imagenet100_kaggle"]
    assert len(found.cells("fig3")) == 4 * (82 - 5 - 5 - 4), "each model against those above it, by four measures"
    assert all("sweep" in found.models[name] for name in found.trained)
