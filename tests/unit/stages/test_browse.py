"""The page of a packed split: numbers that are those of the store, and every target drawn where it is."""

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from mettle.data import Store, TargetStore
from mettle.data.item import Object
from mettle.data.preview import preview
from mettle.stages import browse, prep
from mettle.stages.browse import counts, drawing

ROW = {"dataset": "roads", "reader": "streets", "source": "", "classes": 10, "map_classes": 11, "home": "made <here>"}
ROW |= {"task": ["classification", "segmentation", "depth", "detection"], "depth_min": 1, "depth_max": 10, "size": 96}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    prep.prepare(ROW, "test", folder / "test.lmdb", folder / "test.parquet")
    return folder / "test.lmdb"


@pytest.fixture(scope="module")
def html(packed):
    browse.browse(packed, packed.with_suffix(".html"), ROW, "test", {"rule": "browse"})
    return packed.with_suffix(".html").read_text()


def pixels(svg):
    """The picture in an SVG."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", svg)[1]))))


def test_the_page_stands_alone_and_is_well_formed(html):
    assert not re.search(r"(?:src|href)=\"(?!data:)", html)
    assert "<script" not in html
    body = re.search(r"<body>.*</body>", html, re.DOTALL)[0].replace("<br>", "<br/>")
    assert ElementTree.fromstring(body).findall(".//h1")[0].text == "roads: test"
    assert "made &lt;here&gt;" in html


def test_the_page_shows_a_sample_with_all_targets(html):
    assert html.count('class="item"') == 24
    for title in ("image", "label map", "objects", "distance"):
        assert html.count(f"<figcaption>{title}") == 24
    assert "<dt>images</dt><dd>300</dd>" in html
    assert "<dt>sizes</dt><dd>96 x 96 pixels</dd>" in html
    assert html.count('distance 1 m <span class="bar"') == 24


def test_counts_are_those_of_the_store(packed):
    store, targets = Store(packed), TargetStore(packed)
    found = counts.count(store, targets)
    assert found.n == 300
    assert found.images == dict.fromkeys(range(10), 30)
    maps = np.concatenate([targets.label_map(k).ravel() for k in range(300)])
    assert found.pixels == dict(enumerate(np.bincount(maps).tolist()))
    assert found.objects.total() == sum(len(targets.objects(k)) for k in range(300))
    assert found.depth == (min(targets.depth(k).min() for k in range(300)), 10)
    assert (found.unknown, found.crowds, found.empty) == (0, 0, 0)


def test_few_images_are_taken_at_even_steps():
    assert counts.spread(3, 5) == [0, 1, 2]
    assert counts.spread(10, 5) == [1, 3, 5, 7, 9]
    assert counts.spread(1_281_167, 2_000)[-1] < 1_281_167


def test_labels_alone(tmp_path):
    row = {"dataset": "digits", "reader": "digits", "source": "", "classes": 10, "home": "", "task": ["classification"]}
    paths = tmp_path / "test.lmdb", tmp_path / "test.parquet"
    prep.prepare(row, "test", *paths)
    browse.browse(paths[0], tmp_path / "test.html", row, "test", {})
    html = (tmp_path / "test.html").read_text()
    assert html.count("<svg") == 24 and "<figcaption>" not in html
    assert "<dt>images</dt><dd>500</dd>" in html


def test_a_label_map_has_the_colours_of_its_classes_and_leaves_out_what_is_ignored():
    image = np.full((4, 6, 3), 100, np.uint8)
    labels = np.array([[0, 0, 1, 1, 255, 255]] * 4)
    drawn = pixels(drawing.label_map(image, labels, 255))
    for column, label in ((0, 0), (2, 1)):
        assert np.allclose(drawn[0, column], 35 + 0.65 * np.array(drawing.colour(label)), atol=1)
    assert (drawn[:, 4:] == 100).all()


def test_near_is_light_far_is_dark_and_nothing_is_grey():
    drawn = pixels(drawing.depth_map(np.array([[0, 1, 5, 9, 20]]), 1, 9)).astype(int)[0]
    assert len(set(drawn[0])) == 1
    light = drawn.sum(axis=1)
    assert light[1] > light[2] > light[3] == light[4]


def test_objects_have_boxes_names_and_masks():
    mask = np.zeros((50, 100), bool)
    mask[10:20, 30:60] = True
    found = [Object(1, (30, 10, 60, 20), 300, "x"), Object(0, (0, 0, 5, 5), 25, crowd=True)]
    svg = drawing.objects(np.zeros((50, 100, 3), np.uint8), found, np.stack([mask, ~mask]), ["cat", "<dog>"])
    boxes = [rect.attrib for rect in ElementTree.fromstring(svg).findall("rect")][1::2]  # each lies on one in white
    places = [tuple(int(box[key]) for key in ("x", "y", "width", "height")) for box in boxes]
    assert places == [(30, 10, 30, 10), (0, 0, 5, 5)]
    assert "stroke-dasharray" in boxes[1] and "stroke-dasharray" not in boxes[0]
    assert [text.text for text in ElementTree.fromstring(svg).findall("text")] == ["<dog>", "cat (crowd)"]
    assert np.array_equal(pixels(svg).any(axis=2), mask)  # a box alone paints nothing


def test_names_do_not_lie_on_each_other():
    found = [Object(label, (30, 10 + label, 60, 40), 300) for label in range(4)]
    svg = drawing.objects(np.zeros((100, 100, 3), np.uint8), found, np.zeros((4, 100, 100), bool), "abcd")
    rows = sorted(float(text.attrib["y"]) for text in ElementTree.fromstring(svg).findall("text"))
    assert min(np.diff(rows)) >= 5


def test_large_pictures_are_made_smaller():
    kind, data = preview(np.zeros((600, 1024, 3), np.uint8))
    assert kind == "jpeg" and Image.open(io.BytesIO(data)).size == (512, 300)
    kind, data = preview(np.full((128, 7, 3), 9, np.uint8))
    assert kind == "png" and np.asarray(Image.open(io.BytesIO(data))).shape == (128, 7, 3)
