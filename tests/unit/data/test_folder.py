"""Class-per-folder trees: order, bytes as they are, and every kind of broken tree."""

import io

import numpy as np
import pytest
from PIL import Image

from mettle.data import folder, reading


def image(path, mode="RGB", form="JPEG", size=(20, 14)):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(path, form)
    return path


@pytest.fixture
def tree(tmp_path):
    image(tmp_path / "train" / "b_dog" / "2.JPEG")
    image(tmp_path / "train" / "b_dog" / "10.JPEG")
    image(tmp_path / "train" / "a_cat" / "x.png", form="PNG")
    return tmp_path


def read(tree, classes=2, split="train"):
    return list(folder.read(tree, split, classes, 0))


def test_classes_and_files_are_sorted_by_name(tree):
    found = [(item.label, item.class_name, item.source) for item in read(tree)]
    assert found == [
        (0, "a_cat", "train/a_cat/x.png"),
        (1, "b_dog", "train/b_dog/10.JPEG"),
        (1, "b_dog", "train/b_dog/2.JPEG"),
    ]


def test_bytes_are_those_of_the_files(tree):
    assert all(item.data == (tree / item.source).read_bytes() for item in read(tree))


def test_the_order_holds_over_batches_and_threads(tree, monkeypatch):
    monkeypatch.setattr(reading, "_BATCH", 7)
    for number in range(30):
        image(tree / "train" / "a_cat" / f"{number:03}.png", form="PNG", size=(4, 4))
    sources = [item.source for item in read(tree)]
    assert len(sources) == 33 and sources == sorted(sources)


def test_modes_other_than_rgb_are_images_too(tree):
    for mode, form in (("L", "PNG"), ("P", "PNG"), ("CMYK", "JPEG"), ("1", "PNG"), ("RGBA", "PNG")):
        image(tree / "train" / "a_cat" / f"{mode}.{form}", mode, form)
    assert len(read(tree)) == 8


def test_hidden_files_are_passed_over(tree):
    (tree / "train" / ".DS_Store").write_bytes(b"x")
    (tree / "train" / "a_cat" / "._x.png").write_bytes(b"x")
    (tree / "train" / ".cache").mkdir()
    assert len(read(tree)) == 3


def test_linked_folders_are_followed(tree, tmp_path_factory):
    link = tmp_path_factory.mktemp("link") / "data"
    link.mkdir()
    (link / "val").symlink_to(tree / "train", target_is_directory=True)
    (tree / "train" / "c_cow").symlink_to(tree / "train" / "a_cat", target_is_directory=True)
    assert [item.source for item in read(link, 3, "val")][-1] == "val/c_cow/x.png"


@pytest.mark.parametrize("classes", [1, 3])
def test_another_number_of_folders_is_refused(tree, classes):
    with pytest.raises(ValueError, match=rf"{tree}/train holds 2 classes, but `classes` says {classes}"):
        folder.read(tree, "train", classes, 0)


def test_a_missing_split_lists_what_is_there(tree):
    (tree / "val").mkdir()
    with pytest.raises(ValueError, match=rf"{tree}/test is no folder; {tree} holds train, val"):
        folder.read(tree, "test", 2, 0)


def test_a_source_that_holds_nothing_is_told(tmp_path):
    with pytest.raises(ValueError, match=rf"{tmp_path}/test is no folder; {tmp_path} holds nothing"):
        folder.read(tmp_path, "test", 2, 0)


def test_an_empty_class_is_told_before_anything_is_read(tree):
    (tree / "train" / "c_cow").mkdir()
    (tree / "train" / "c_cow" / ".keep").write_bytes(b"")
    with pytest.raises(ValueError, match=rf"{tree}/train/c_cow holds no images"):
        folder.read(tree, "train", 3, 0)


def test_a_file_that_is_no_image_is_named(tree):
    (tree / "train" / "a_cat" / "notes.txt").write_text("cats")
    with pytest.raises(ValueError, match=r"notes\.txt cannot be read as an image: it is not in a known image"):
        read(tree)


def test_a_folder_among_the_images_is_named(tree):
    (tree / "train" / "a_cat" / "more").mkdir()
    with pytest.raises(ValueError, match=r"a_cat/more is not a file: a class folder may have images only"):
        read(tree)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0, 0.3, 0.8])
def test_a_truncated_image_is_named(tree, form, share):
    path = image(tree / "train" / "a_cat" / "half.img", form=form, size=(64, 64))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"a_cat/half\.img cannot be read as an image"):
        read(tree)


def test_a_damaged_image_is_named(tree):
    buffer = io.BytesIO()
    Image.new("RGB", (50, 50), "red").save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[50] ^= 255
    (tree / "train" / "a_cat" / "flip.png").write_bytes(data)
    with pytest.raises(ValueError, match=r"flip\.png cannot be read as an image"):
        read(tree)


# Subsets


def listed(tree, *names):
    path = tree / "some.txt"
    path.write_text("# chosen\n" + "\n".join(names) + "\n")
    return path


def chosen(tree, classes, *names):
    return [(item.label, item.source) for item in folder.read(tree, "train", classes, 0, subset=listed(tree, *names))]


def test_a_list_of_classes_numbers_them_in_sorted_order(tree):
    image(tree / "train" / "c_cow" / "1.png", form="PNG")
    expected = [(0, "train/b_dog/10.JPEG"), (0, "train/b_dog/2.JPEG"), (1, "train/c_cow/1.png")]
    assert chosen(tree, 2, "c_cow", "b_dog") == expected


def test_a_list_of_files_keeps_the_labels_of_all_classes(tree):
    assert chosen(tree, 2, "2.JPEG", "x.png") == [(0, "train/a_cat/x.png"), (1, "train/b_dog/2.JPEG")]
    assert chosen(tree, 2, "10.JPEG") == [(1, "train/b_dog/10.JPEG")]


def test_an_empty_class_outside_the_list_is_not_looked_at(tree):
    (tree / "train" / "c_cow").mkdir()
    assert len(chosen(tree, 1, "b_dog")) == 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a_cat", "d_fox"), r"some\.txt lists 'd_fox', but .*train holds no such class or image"),
        (("x.png", "y.png", "z.png"), r"some\.txt lists 'y\.png' and 1 more, but .*train holds no such class or image"),
        (("a_cat", "10.JPEG"), r"some\.txt lists '10\.JPEG', but"),
    ],
)
def test_what_is_listed_but_absent_is_named(tree, names, message):
    with pytest.raises(ValueError, match=message):
        chosen(tree, 2, *names)


def test_a_listed_file_in_two_classes_is_refused(tree):
    image(tree / "train" / "a_cat" / "2.JPEG")
    with pytest.raises(ValueError, match=r"some\.txt lists '2\.JPEG', which .*train holds 2 times"):
        chosen(tree, 2, "2.JPEG")


def test_classes_are_counted_in_the_list(tree):
    with pytest.raises(ValueError, match=r"some\.txt holds 1 classes, but `classes` says 2"):
        chosen(tree, 2, "a_cat")
    with pytest.raises(ValueError, match=r"train holds 2 classes, but `classes` says 1"):
        chosen(tree, 1, "x.png")
