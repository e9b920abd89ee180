"""The registry of readers: names, and names of data sets behind a slash."""

import inspect

import pytest

from mettle import schema
from mettle.data.readers import READERS, reader


@pytest.mark.parametrize("name", READERS)
def test_every_reader_says_whence_it_comes(name):
    found = READERS[name]
    assert found.reference
    assert found.generated == (name in ("digits", "scenes", "streets"))
    assert bool(found.example) == (name in ("torchvision", "tfds"))
    assert found.subsets == (name == "folder")


@pytest.mark.parametrize("name", [name for name, found in READERS.items() if not found.example])
def test_a_reader_of_one_format_goes_by_its_name(name):
    assert reader(name) is READERS[name]
    with pytest.raises(ValueError, match=f"^reader '{name}/x': '{name}' reads one format and takes no name"):
        reader(f"{name}/x")


@pytest.mark.parametrize("name", ["torchvision", "tfds"])
def test_a_reader_of_many_data_sets_needs_a_name(name):
    example = READERS[name].example
    with pytest.raises(
        ValueError, match=f"^reader '{name}' needs the name of a data set, for example '{name}/{example}'"
    ):
        reader(name)
    assert reader(f"{name}/{example}").read.args == (example,)


def test_a_name_may_hold_slashes_of_its_own():
    assert reader("tfds/imagenet_resized/8x8:0.1.0").read.args == ("imagenet_resized/8x8:0.1.0",)


@pytest.mark.parametrize("cell", ["photos", "photos/x"])
def test_an_unknown_reader_lists_the_known(cell):
    with pytest.raises(ValueError, match=r"^unknown reader 'photos'.*cifar10_binary.*digits.*folder"):
        reader(cell)


@pytest.mark.parametrize("name", READERS)
def test_the_sheet_asks_a_reader_for_what_it_has(name):
    row = {"dataset": "a", "size": 0, "reader": name + "/X" * (name == "torchvision") + "/x" * (name == "tfds")}
    cells = {"classification": {"classes": 2}, "segmentation": {"classes": 2}, "detection": {"classes": 2}}
    cells["depth"] = {"depth_min": 1, "depth_max": 2}
    for task, more in cells.items():
        made = row | {"task": [task]} | more
        if task in READERS[name].tasks:
            assert schema.check(made, "datasets", "row")["task"] == [task]
        else:
            with pytest.raises(ValueError, match=rf"^row: 'task\.0' must be \w+, got '{task}'$"):
                schema.check(made, "datasets", "row")


def test_options_are_those_that_a_reader_takes():
    for found in READERS.values():
        assert set(found.options) == {"unit", "say"} & inspect.signature(found.read).parameters.keys()
