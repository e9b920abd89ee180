"""Lists of names: comments, order, and what is wrong with a list."""

import pytest

from imports import ROOT
from mettle.data.lists import read_list

LISTS = ROOT / "resources" / "lists"


def written(folder, text):
    path = folder / "names.txt"
    path.write_text(text)
    return path


def test_names_keep_their_order_and_comments_are_passed_over(tmp_path):
    assert read_list(written(tmp_path, "# head\nb\n\n  a  # why\nc d\n")) == ["b", "a", "c d"]


def test_a_missing_list_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"^the list .*none\.txt does not exist$"):
        read_list(tmp_path / "none.txt")


def test_a_list_of_comments_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"^the list .*names\.txt holds no names$"):
        read_list(written(tmp_path, "# nothing\n\n"))


def test_a_name_that_stands_twice_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"^the list .*names\.txt holds 'b' twice$"):
        read_list(written(tmp_path, "a\nb\nc\nb\n"))


# What the project ships


def test_the_hundred_classes_are_sorted_classes_of_imagenet():
    hundred, thousand = read_list(LISTS / "imagenet100_synsets.txt"), read_list(LISTS / "imagenet_synsets.txt")
    assert (len(hundred), len(thousand)) == (100, 1000)
    assert hundred == sorted(hundred) and thousand == sorted(thousand)
    assert set(hundred) < set(thousand)
    # The first draws of jax.random.choice with key 0, as indices of the sorted synsets.
    first = [339, 777, 129, 822, 616, 214, 204, 912, 698, 677, 408, 12]
    assert {thousand[index] for index in first} < set(hundred)


def test_robustbench_evaluates_on_5000_validation_images():
    names = read_list(LISTS / "robustbench_imagenet_5000.txt")
    assert len(names) == 5000
    numbers = [int(name.removeprefix("ILSVRC2012_val_").removesuffix(".JPEG")) for name in names]
    assert min(numbers) >= 1 and max(numbers) <= 50000
