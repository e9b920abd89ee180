"""What Snakemake makes again after a change, on a folder of images and a checkpoint: docs/reruns.md, tried."""

import hashlib
import re
import shutil

import pytest
import torch
import yaml
from PIL import Image

import trees
from mettle import models
from trees import said, snakemake, succeeded

pytestmark = pytest.mark.workflow

MODEL = "vgg5-shown-s0"
TARGET = f"results/represent/photos/natural/{MODEL}.parquet"
STORE = "results/prep/photos/test.lmdb"
DATASETS = """dataset\ttask\tclasses\tsize\treader\tsource\ttest\tlicence\thome
photos\tclassification\t2\t32\tfolder\traw/photos\ttest\t\t
"""
MODELS = f"""model\tdataset\tarch\trecipe\tseed\tsource\tformat\tsha256
{MODEL}\tphotos\tvgg5\tshown\t0\traw/net.pt\ttimm\t
"""
RECIPE = {"input": trees.PLAIN["input"]}  # enough for a checkpoint


def checkpoint(path, seed):
    torch.manual_seed(seed)
    torch.save(models.build("vgg5", 2, 32).state_dict(), path)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = trees.plant(tmp_path_factory.mktemp("reruns"), {"figures": {}}, {"shown": RECIPE})
    for shade, label in enumerate(("cat", "dog")):
        (folder / "raw/photos/test" / label).mkdir(parents=True)
        Image.new("RGB", (32, 32), (100 * shade, 50, 50)).save(folder / f"raw/photos/test/{label}/1.png")
    checkpoint(folder / "raw/net.pt", 0)
    write(folder, "datasets.tsv", DATASETS)
    write(folder, "models/demo.tsv", MODELS)
    succeeded(snakemake(folder, "--cores", "1", TARGET))
    return folder


def write(folder, name, text):
    (folder / "config" / name).write_text(text)


def dry(tree, *arguments):
    """Rules of a dry run; what it said if it failed."""
    answer = snakemake(tree, "-n", *arguments, TARGET)
    return set(re.findall(r"^rule (\w+):$", said(answer), re.MULTILINE)) if not answer.returncode else said(answer)


def test_what_bears_on_no_number_makes_nothing_again(tree):
    digest = hashlib.sha256((tree / "raw/net.pt").read_bytes()).hexdigest()
    write(tree, "datasets.tsv", DATASETS.replace("test\t\t\n", "test\tfree\tover there\n"))
    write(tree, "models/demo.tsv", MODELS.replace("timm\t\n", f"timm\t{digest}\n"))
    more = RECIPE | trees.PLAIN | {"epochs": 7}
    write(tree, "recipes/shown.yaml", yaml.safe_dump(more))
    write(tree, "config.yaml", yaml.safe_dump({"figures": {}, "seed": 0, "represent": {"batch_size": 3}}))
    (tree / "raw/net.pt").touch()
    assert dry(tree) == set()


def test_another_checkpoint_or_another_image_is_noticed(tree):
    kept, added = (tree / "raw/net.pt").read_bytes(), tree / "raw/photos/test/cat/2.png"
    checkpoint(tree / "raw/net.pt", 1)
    assert dry(tree) == {"convert", "represent"}
    (tree / "raw/net.pt").write_bytes(kept)
    shutil.copy(tree / "raw/photos/test/cat/1.png", added)
    assert dry(tree) == {"prep", "represent"}
    added.unlink()


def test_what_is_made_again_with_the_same_content_makes_nothing_else_again(tree):
    # The image that was added above is gone, but its folder has a new time.
    before = (tree / STORE).with_suffix(".parquet").read_bytes()
    assert "1 of 1 steps" in succeeded(snakemake(tree, "--cores", "1", STORE))
    assert (tree / STORE).with_suffix(".parquet").read_bytes() == before
    assert dry(tree) == set()


def test_a_wrong_row_is_refused_before_anything_is_touched(tree):
    kept = (tree / "config/datasets.tsv").read_text()
    write(tree, "datasets.tsv", kept.replace("\t2\t32\t", "\t3\t32\t"))
    assert "row 'photos': raw/photos has 2 classes, but `classes` says 3" in dry(tree)
    write(tree, "datasets.tsv", kept)
    assert dry(tree) == set()


def test_a_source_that_was_removed_is_missed_when_it_is_needed(tree):
    (tree / "raw").rename(tree / "away")
    try:
        assert dry(tree) == set()
        answer = snakemake(tree, "--cores", "1", "--forcerun", "prep", "convert", "--", TARGET)
        assert answer.returncode != 0 and (tree / STORE).exists()
        assert re.search(r"raw/(photos|net\.pt) does not exist: (fill|put)", said(answer)), said(answer)
    finally:
        (tree / "away").rename(tree / "raw")


def test_touch_takes_what_is_there_as_up_to_date(tree):
    write(tree, "recipes/shown.yaml", yaml.safe_dump({"input": RECIPE["input"] | {"mean": [0.25] * 3}}))
    assert dry(tree) == {"convert", "represent"}
    succeeded(snakemake(tree, "--touch", "--cores", "1", "--", TARGET))
    assert dry(tree) == set()
