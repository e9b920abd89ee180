"""The registry of readers: names, and names of data sets behind a slash."""

import pytest

from mettle.data.readers import READERS, reader


@pytest.mark.parametrize("name", READERS)
def test_every_reader_says_whence_it_comes(name):
    found = READERS[name]
    assert found.reference
    assert found.generated == (name in ("digits", "scenes"))
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
