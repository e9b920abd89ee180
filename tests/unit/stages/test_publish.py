"""The five data sets for TFDS: from raw files over prep to TFDS and back, image for image, with the shipped lists."""

import hashlib
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
import torch
from PIL import Image

from imports import ROOT
from mettle import files, schema, tables
from mettle.data import Store, write_perturbed
from mettle.data.lists import read_list
from mettle.stages import prep, publish

LISTS = ROOT / "resources" / "lists"
HUNDRED, THOUSAND = (read_list(LISTS / f"{name}_synsets.txt") for name in ("imagenet100", "imagenet"))
FILES = read_list(LISTS / "robustbench_imagenet_5000.txt")
CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture(autouse=True)
def at_home(monkeypatch):
    """The sheet's paths are relative to the project."""
    monkeypatch.chdir(ROOT)


def row(name, source):
    found = schema.read_sheet(ROOT / "config" / "datasets.tsv", "datasets")[name]
    return found | {"source": str(source)}


def packed(dataset, split, folder):
    paths = folder / f"{split}.lmdb", folder / f"{split}.parquet"
    prep.prepare(dataset, split, *paths)
    return paths


def load(folder, split):
    builder = tfds.builder_from_directory(folder)
    return list(builder.as_data_source(split)), builder.info


def picture(path, number, form):
    pixels = np.random.default_rng(number).integers(0, 256, (5, 4, 3), np.uint8)
    Image.fromarray(pixels).save(path, form)
    return path


def same(examples, store):
    """Whether the examples are the images of a store, all, in order, pixel for pixel."""
    images = [np.asarray(store.image(position)) for position in range(len(store))]
    assert len(examples) == len(store)
    assert np.array_equal([example["image"] for example in examples], images)
    assert [example["label"] for example in examples] == store.labels.tolist()
    assert [example["id"] for example in examples] == store.ids.tolist()
    return True


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """A tree as ImageNet's: one training image per class, and 6,000 validation images, 5,000 of them on the list."""
    source = tmp_path_factory.mktemp("raw")
    drawn = picture(source / "one.JPEG", 0, "JPEG").read_bytes(), picture(source / "other.JPEG", 1, "PNG").read_bytes()
    more = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 50001)]
    unlisted = sorted(set(more) - set(FILES))[:1000]
    for position, synset in enumerate(THOUSAND):
        for split, names in (("train", [f"{synset}_1.JPEG"]), ("val", [*FILES[position::997], unlisted[position]])):
            folder = source / split / synset
            folder.mkdir(parents=True)
            for name in names if position < 997 or split == "train" else names[-1:]:
                (folder / name).write_bytes(drawn[len(name + synset) * position % 2])
    return source


@pytest.fixture(scope="module")
def robustbench(imagenet, tmp_path_factory):
    """Row and store of RobustBench's images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        dataset = row("imagenet_rb5000", imagenet)
        return dataset, packed(dataset, "val", tmp_path_factory.mktemp("rb"))


def test_image_net_subset(imagenet, tmp_path):
    dataset = row("imagenet100", imagenet)
    paths = [path for split in ("train", "val") for path in packed(dataset, split, tmp_path / "prep")]
    folder = publish.publish(dataset, paths, tmp_path / "tfds")
    assert folder == tmp_path / "tfds" / "image_net_subset" / "1.0.0"
    for split, store in (("train", Store(paths[0])), ("validation", Store(paths[2]))):
        examples, info = load(folder, split)
        assert same(examples, store)
        for example in examples:
            assert example["file_name"].decode().split("/")[1] == HUNDRED[example["label"]]
    assert info.features["label"].names == HUNDRED
    assert {name: split.num_examples for name, split in info.splits.items()} == {"train": 100, "validation": len(store)}
    assert "tensorflow" not in sys.modules


def test_robustbench_image_net(robustbench, tmp_path):
    dataset, paths = robustbench
    examples, info = load(publish.publish(dataset, paths, tmp_path), "validation")
    assert info.full_name == "robustbench_image_net/1.0.0" and list(info.splits) == ["validation"]
    assert same(examples, Store(paths[0]))
    assert sorted(example["file_name"].decode().split("/")[2] for example in examples) == sorted(FILES)
    assert info.features["label"].names == THOUSAND
    assert len({example["label"] for example in examples}) == 997
    assert all(example["file_name"].decode().split("/")[1] == THOUSAND[example["label"]] for example in examples[::50])


def test_cifar_ddpm(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), np.uint8)
    (tmp_path / "cifar_ddpm_improvedddpm_sorted_images.bin").write_bytes(pixels.tobytes())
    np.save(tmp_path / "cifar_ddpm_improvedddpm_sorted_labels.npy", np.arange(30) % 10)
    dataset = row("cifar10_ddpm", tmp_path)
    paths = packed(dataset, "train", tmp_path / "prep")
    examples, info = load(publish.publish(dataset, paths, tmp_path / "tfds"), "train")
    assert info.full_name == "cifar_ddpm/1.0.0" and list(info.splits) == ["train"]
    assert same(examples, Store(paths[0]))
    assert np.array_equal([example["image"] for example in examples], pixels)
    assert [example["label"] for example in examples] == [k % 10 for k in range(30)]
    assert info.features["label"].names == CIFAR


@pytest.mark.parametrize("kind", ["perturbation", "adversarial"])
def test_perturbations_and_adversarial_examples(robustbench, tmp_path, kind):
    dataset, paths = robustbench
    clean, eps = Store(paths[0]), 4 / 255
    before = torch.from_numpy(clean.arrays()).permute(0, 3, 1, 2)[:40].float() / 255
    after = (before + eps * torch.randn(before.shape, generator=torch.manual_seed(0)).sign()).clamp(0, 1)
    batch = (clean.ids[:40], before, after, dict.fromkeys(tables.FLAGS, [False] * 40))
    write_perturbed(tmp_path / "a.lmdb", tmp_path / "a.parquet", clean, [batch], kind, eps, "linf")
    folder = publish.publish_perturbed(dataset, tmp_path / "a.lmdb", "resnet50-x-s0", "pgd100", tmp_path / "tfds")
    examples, info = load(folder, "validation")
    name = {"perturbation": "imagenet_perturbations", "adversarial": "imagenet_advex"}[kind]
    assert info.full_name == f"{name}/1.0.0" and list(info.splits) == ["validation"]
    assert info.features["label"].names == THOUSAND
    assert same(examples, Store(tmp_path / "a.lmdb"))
    change = np.stack([example["image"] for example in examples]).astype(float)
    if kind == "perturbation":
        assert (
            np.abs((change / 127.5 - 1) * eps - (before - after).permute(0, 2, 3, 1).numpy()).max() <= eps / 255 + 1e-7
        )
    else:
        assert np.abs(change - clean.arrays(range(40))).max() == 4
    for example in examples:
        file = ROOT / dataset["source"] / example["file_name"].decode()
        assert hashlib.sha256(file.read_bytes()).hexdigest() == example["source_sha256"].decode()
        assert (example["model"], example["attack"], example["norm"]) == (b"resnet50-x-s0", b"pgd100", b"linf")
        assert example["eps"] == pytest.approx(eps, rel=1e-6)


def test_a_row_without_a_name_in_tfds_keeps_its_own(tmp_path):
    dataset = row("digits", "")
    paths = packed(dataset, "test", tmp_path / "prep")
    examples, info = load(publish.publish(dataset, paths, tmp_path / "tfds"), "test")
    assert info.full_name == "digits/1.0.0" and same(examples, Store(paths[0]))
    assert info.features["label"].names == list("0123456789")


def test_progress_sees_every_image(tmp_path):
    seen = []
    dataset = row("digits", "")
    publish.publish(
        dataset,
        packed(dataset, "test", tmp_path / "prep"),
        tmp_path / "tfds",
        progress=lambda images: (seen.append(k) or k for k in images),
    )
    assert len(seen) == 500


def test_only_attacked_images_are_published_as_such(robustbench, tmp_path):
    dataset, paths = robustbench
    with pytest.raises(ValueError, match=r"val\.lmdb has no attacked images"):
        publish.publish_perturbed(dataset, paths[0], "m", "a", tmp_path)


def test_a_missing_list_of_names_is_told(robustbench, tmp_path, monkeypatch):
    dataset, paths = robustbench
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "HOME", tmp_path)
    with pytest.raises(ValueError, match=r"the list resources/lists/imagenet_synsets\.txt does not exist"):
        publish.publish(dataset, paths, tmp_path)


@pytest.mark.parametrize("name", publish.PUBLICATIONS)
def test_what_has_a_name_in_tfds_is_in_the_sheet(name):
    assert row(name, "")["dataset"] == name
