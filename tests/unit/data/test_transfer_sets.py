"""The data sets of transfer in the sheet: each row reads files laid out as its authors have them."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from imports import ROOT
from mettle import schema
from mettle.data.item import decode
from mettle.data.readers import reader

ROWS = schema.read_sheet(ROOT / "config" / "datasets.tsv", "datasets")


def picture(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 7, 3), value % 200, np.uint8)).save(path)


def lines(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows))


def dtd(root, names):
    base = root / "dtd" / "dtd"
    for k, name in enumerate(names):
        for number in range(2):
            picture(base / "images" / name / f"{name}_{number}.jpg", k)
    for number, split in enumerate(("train", "test")):
        lines(base / "labels" / f"{split}1.txt", *(f"{name}/{name}_{number}.jpg" for name in names))


def food101(root, names):
    for number, split in enumerate(("train", "test")):
        for k, name in enumerate(names):
            picture(root / "food-101" / "images" / name / f"{number}.jpg", k)
        listed = {name: [f"{name}/{number}"] for name in names}
        lines(root / "food-101" / "meta" / f"{split}.json", json.dumps(listed))


def pets(root, names):
    base = root / "oxford-iiit-pet"
    for number, split in enumerate(("trainval", "test")):
        for k, name in enumerate(names):
            picture(base / "images" / f"{name}_{number}.jpg", k)
        lines(base / "annotations" / f"{split}.txt", *(f"{name}_{number} {k + 1} 1 1" for k, name in enumerate(names)))


def aircraft(root, names):
    base = root / "fgvc-aircraft-2013b" / "data"
    lines(base / "variants.txt", *names)
    for number, split in enumerate(("trainval", "test")):
        for k in range(len(names)):
            picture(base / "images" / f"{number}{k:06d}.jpg", k)
        lines(base / f"images_variant_{split}.txt", *(f"{number}{k:06d} {name}" for k, name in enumerate(names)))


def sun397(root, names):
    lines(root / "SUN397" / "ClassName.txt", *(f"/{name[0]}/{name}" for name in names))
    for k, name in enumerate(names):
        for number in range(5):
            picture(root / "SUN397" / name[0] / name / f"sun_{number}.jpg", k)


def cars(root, names):
    base = root / "stanford_cars"
    (base / "devkit").mkdir(parents=True)
    savemat(base / "devkit" / "cars_meta.mat", {"class_names": np.array(names, object)})
    for split, path in (("train", "devkit/cars_train_annos"), ("test", "cars_test_annos_withlabels")):
        kinds = [("fname", object), ("class", np.uint8)]
        rows = np.array([(f"{k:05d}.jpg", k + 1) for k in range(len(names))], kinds)
        savemat(base / f"{path}.mat", {"annotations": rows})
        for k in range(len(names)):
            picture(base / f"cars_{split}" / f"{k:05d}.jpg", k)


SETS = {function.__name__: function for function in (dtd, food101, pets, aircraft, sun397, cars)}


@pytest.mark.parametrize("name", SETS)
def test_a_row_reads_what_its_authors_publish(tmp_path, name):
    row = ROWS[name]
    assert row["classes"] >= 37 and row["size"] == 0
    SETS[name](tmp_path, [f"kind_{k:03d}" for k in range(row["classes"])])
    for split in (row["train"], row["test"]):
        items = list(reader(row["reader"]).read(tmp_path, split, row["classes"], 0))
        assert sorted({item.label for item in items}) == list(range(row["classes"]))
        assert all(abs(int(np.asarray(decode(item.data)).mean()) - item.label % 200) <= 2 for item in items[:20])
        each = 4 if (name, split) == ("sun397", "train") else 1
        assert len(items) == each * row["classes"]


def test_the_home_of_a_set_names_the_folder_of_its_row():
    for name in SETS:
        assert ROWS[name]["source"] == f"resources/{name}" in ROWS[name]["home"]
