"""Labels by name: the same in all splits of a data set and in its parent, or the classes that differ are named."""

import pytest
from PIL import Image

from mettle.data import Item, Store
from mettle.data.classes import Known, checked, differ
from mettle.stages import prep

FRUITS = {"train": ("apple", "banana", "cherry"), "test": ("apple", "cherry", "date")}


def plant(folder, splits):
    """A picture per class in folders of classes; returns the root."""
    for split, names in splits.items():
        for name in names:
            (folder / split / name).mkdir(parents=True)
            Image.new("RGB", (4, 4), "red").save(folder / split / name / f"{split}_{name}.png")
    return folder


@pytest.fixture
def fruits(tmp_path):
    return plant(tmp_path / "fruits", FRUITS)


@pytest.fixture
def listed(tmp_path):
    def write(*names, file="names.txt"):
        (tmp_path / file).write_text("\n".join(names) + "\n")
        return str(tmp_path / file)

    return write


def row(source, classes, **more):
    splits = {"train": "train", "test": "test"}
    return {"dataset": "mine", "reader": "folder", "source": str(source), "classes": classes} | splits | more


@pytest.fixture
def packed(tmp_path):
    """Class name by label of what prep packs of one split."""

    def pack(row, split):
        prep.prepare(row, split, tmp_path / "out.lmdb", tmp_path / "out.parquet")
        rows = Store(tmp_path / "out.lmdb").manifest()
        assert [source.split("/")[1] for source in rows["source"]] == rows["class_name"].tolist()
        return dict(zip(rows["label"].tolist(), rows["class_name"], strict=True))

    return pack


# Splits


@pytest.mark.parametrize("split", ["train", "test"])
def test_splits_with_other_class_folders_are_refused(fruits, packed, split):
    message = (
        rf"{fruits}: the class folders of its splits differ, so labels would: only train has 'banana', only test has "
        "'date'; give all splits the same class folders, or list all classes in the order of the labels in a file, and "
        "name it in column `names`$"
    )
    with pytest.raises(ValueError, match=message):
        packed(row(fruits, 3), split)


def test_a_split_that_lacks_classes_names_how_many(tmp_path, packed):
    source = plant(tmp_path / "some", {"train": "abcd", "test": "ad"})
    with pytest.raises(ValueError, match="differ, so labels would: only train has 'b' and 1 more; give"):
        packed(row(source, 4), "test")


def test_with_a_list_of_names_every_split_has_its_labels(fruits, packed, listed):
    named = row(fruits, 4, names=listed("apple", "banana", "cherry", "date"))
    assert packed(named, "train") == {0: "apple", 1: "banana", 2: "cherry"}
    assert packed(named, "test") == {0: "apple", 2: "cherry", 3: "date"}


def test_labels_follow_the_list_and_not_the_alphabet(fruits, packed, listed):
    named = row(fruits, 4, names=listed("date", "cherry", "banana", "apple"))
    assert packed(named, "test") == {0: "date", 1: "cherry", 3: "apple"}


def test_a_split_that_is_not_on_disk_is_not_asked(tmp_path, packed):
    assert packed(row(plant(tmp_path / "one", {"test": "ab"}), 2), "test") == {0: "a", 1: "b"}


def test_a_folder_that_is_not_in_the_list_is_refused(fruits, packed, listed):
    names = listed("apple", "banana", "cherry")
    with pytest.raises(ValueError, match=rf"{fruits}/test/date is none of the 3 classes of {names}$"):
        packed(row(fruits, 3, names=names), "test")


def test_a_list_of_another_length_is_refused(fruits, packed, listed):
    names = listed("apple", "banana", "cherry", "date")
    with pytest.raises(ValueError, match=rf"{names} holds 4 classes, but `classes` says 3$"):
        packed(row(fruits, 3, names=names), "train")


def test_too_few_folders_say_what_to_do(tmp_path, packed):
    source = plant(tmp_path / "few", {"test": "ab"})
    message = "test holds 2 classes, but `classes` says 3; if some classes have no images here, list all of them"
    with pytest.raises(ValueError, match=message):
        packed(row(source, 3), "test")


def test_a_list_of_classes_restricts_all_splits_alike(fruits, packed, listed):
    chosen = row(fruits, 2, subset=listed("cherry", "apple"))
    assert packed(chosen, "train") == packed(chosen, "test") == {0: "apple", 1: "cherry"}


def test_a_list_of_classes_keeps_the_labels_of_the_names(fruits, packed, listed):
    names = listed("apple", "banana", "cherry", "date", file="all.txt")
    assert packed(row(fruits, 4, names=names, subset=listed("cherry")), "test") == {2: "cherry"}


# Parents


@pytest.fixture
def parent(fruits, listed):
    """Four fruits by a list; a child has some of them."""
    return row(fruits, 4, dataset="fruits", names=listed("apple", "banana", "cherry", "date"))


def child(source, parent, classes=4, **more):
    return row(source, classes, parent_row=parent) | more


def test_a_child_has_the_labels_of_its_parents_list(tmp_path, packed, parent):
    source = plant(tmp_path / "few", {"test": ("banana", "date")})
    assert packed(child(source, parent), "test") == {1: "banana", 3: "date"}


def test_a_list_of_files_needs_only_those_files(tmp_path, packed, parent, listed):
    source = plant(tmp_path / "few", {"test": ("banana", "date")})
    (source / "test" / "cherry").mkdir()
    files = listed("test_date.png", file="files.txt")
    assert packed(child(source, parent, subset=files), "test") == {3: "date"}


def test_a_parent_without_a_list_is_asked_for_its_folders(tmp_path, packed):
    above = row(plant(tmp_path / "all", {"train": "abcd", "test": "abcd"}), 4, dataset="all")
    source = plant(tmp_path / "few", {"test": "bd"})
    assert packed(child(source, above), "test") == {1: "b", 3: "d"}
    with pytest.raises(ValueError, match=r"few2/test/x is none of the 4 classes of data set 'all'$"):
        packed(child(plant(tmp_path / "few2", {"test": "bx"}), above), "test")


def test_a_parents_list_of_classes_counts(tmp_path, packed, listed):
    above = row(plant(tmp_path / "all", {"train": "abcd"}), 2, dataset="two", subset=listed("d", "b"))
    assert packed(child(plant(tmp_path / "few", {"test": "d"}), above, classes=2), "test") == {1: "d"}


def test_the_parent_of_a_parent_is_asked_too(tmp_path, packed, parent):
    between = row(tmp_path / "nowhere", 4, dataset="between", parent_row=parent)
    assert packed(child(plant(tmp_path / "few", {"test": ("cherry",)}), between), "test") == {2: "cherry"}


def test_a_list_that_differs_from_the_parents_is_refused(tmp_path, packed, parent, listed):
    source = plant(tmp_path / "few", {"test": ("banana", "date")})
    own = listed("apple", "cherry", "banana", "date", file="own.txt")
    with pytest.raises(ValueError, match=rf"{own}: class 1 is 'cherry', but 'banana' in .*names\.txt$"):
        packed(child(source, parent, names=own), "test")


def test_a_parent_that_is_not_on_disk_names_nothing(tmp_path, packed):
    above = row(tmp_path / "gone", 2, dataset="gone")
    assert packed(child(plant(tmp_path / "few", {"test": "bd"}), above, classes=2), "test") == {0: "b", 1: "d"}


# Other readers


def items(*names):
    return [Item(b"", label, name, f"image {label}") for label, name in enumerate(names)]


def names(found, own, *of):
    return [item.class_name for item in checked(items(*found), Known([*of], "the list"), own)]


def test_a_source_that_names_its_classes_as_the_list_does_is_taken():
    for own in (True, False):
        assert names(("cat", "dog"), own, "cat", "dog", "cow") == ["cat", "dog"]


def test_classes_without_names_get_those_of_the_list():
    assert names(("0", "1"), False, "cat", "dog") == ["cat", "dog"]


@pytest.mark.parametrize("own", [True, False])
def test_a_source_in_another_order_is_refused(own):
    with pytest.raises(ValueError, match=r"^image 1: class 1 is 'cow', but 'dog' in the list"):
        names(("cat", "cow"), own, "cat", "dog", "cow")


def test_only_a_list_of_its_own_gives_classes_other_names():
    assert names(("tench",), True, "n01440764") == ["n01440764"]
    message = "^image 0: class 0 is 'tench', but 'n01440764' in the list; if they are the same, list all classes"
    with pytest.raises(ValueError, match=message):
        names(("tench",), False, "n01440764")


def test_any_reader_can_be_given_names(packed, tmp_path, listed):
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    digits = {"dataset": "mine", "reader": "digits", "source": "", "classes": 10, "names": listed(*words)}
    prep.prepare(digits, "test", tmp_path / "out.lmdb", tmp_path / "out.parquet")
    assert Store(tmp_path / "out.lmdb").class_names == list(words)


def test_the_log_says_how_many_classes_have_images(fruits, listed, tmp_path):
    said, names = [], listed("apple", "banana", "cherry", "date")
    prep.prepare(row(fruits, 4, names=names), "test", tmp_path / "a.lmdb", tmp_path / "a.parquet", say=said.append)
    assert said == ["3 images of 3 classes of 4"]


# Two stores


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        (("cat", "dog"), ("cat", "dog"), ""),
        (("cat", "dog", "cow"), ("cat", "dog"), ""),
        (("apple", "banana", "cherry"), ("apple", "cherry", "date"), "class 1 is 'banana', but 'cherry'"),
        (("apple", "1", "cherry"), ("apple", "banana", "cherry"), ""),
        (("0", "1"), ("cat", "dog"), ""),
        (("cat", "dog"), ("0", "1"), ""),
        (("0", "1", "10"), ("0", "1", "2"), "class 2 is '10', but '2'"),
    ],
)
def test_names_are_compared_by_label(a, b, found):
    assert differ(a, b) == found
