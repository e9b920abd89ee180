"""Files of maps and images: numbers as they are, partners by name, paths that stay below their folder."""

import re

import numpy as np
import pytest
from PIL import Image

from mettle.data import reading


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_map_in_grey_is_its_numbers(tmp_path, dtype):
    numbers = np.array([[0, 7, np.iinfo(dtype).max]], dtype)
    Image.fromarray(numbers).save(tmp_path / "a.png")
    found = reading.read_map(tmp_path / "a.png")
    assert found.dtype == dtype
    assert np.array_equal(found, numbers)


def test_a_map_with_a_palette_is_its_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 3, 255]], np.uint8), "P")
    image.putpalette([k // 3 for k in range(768)][::-1])
    image.save(tmp_path / "a.png")
    assert reading.read_map(tmp_path / "a.png").tolist() == [[0, 3, 255]]


def test_a_map_of_one_bit(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert reading.read_map(tmp_path / "a.png").tolist() == [[1, 0]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_a_map_in_colours_is_refused(tmp_path, mode):
    Image.new(mode, (3, 2)).save(tmp_path / "a.png")
    message = rf"a\.png is of mode '{mode}', but a map of numbers has to be grey of 8 or 16 bits, or have a palette$"
    with pytest.raises(ValueError, match=message):
        reading.read_map(tmp_path / "a.png")


@pytest.mark.parametrize("read", [reading.read_map, reading.read_image])
def test_a_damaged_file_is_named(tmp_path, read):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image: "):
        read(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"b\.png cannot be read as an image: "):
        read(tmp_path / "b.png")


def test_many_come_in_order():
    assert list(reading.in_order(lambda k: -k, range(600))) == [-k for k in range(600)]


@pytest.fixture
def folders(tmp_path):
    for folder in ("images", "maps"):
        (tmp_path / folder).mkdir()
        for name in ("b", "a"):
            (tmp_path / folder / f"{name}.png").touch()
    (tmp_path / "maps" / ".hidden").touch()
    return tmp_path / "images", tmp_path / "maps"


def test_partners_have_one_name(folders):
    images, maps = folders
    (maps / "a.png").rename(maps / "a.tif")
    assert reading.pair(*folders) == [(images / "a.png", maps / "a.tif"), (images / "b.png", maps / "b.png")]


@pytest.mark.parametrize("alone", [0, 1])
def test_who_is_alone_is_named(folders, alone):
    (folders[alone] / "c.png").touch()
    message = f"{folders[alone] / 'c.png'} has no partner: {folders[1 - alone]} holds no 'c.*'"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        reading.pair(*folders)


def test_two_files_of_one_name_are_told(folders):
    (folders[1] / "a.tif").touch()
    with pytest.raises(ValueError, match=r"maps holds both a\.png and a\.tif: keep one of them$"):
        reading.pair(*folders)


def test_a_folder_without_files_is_told(folders, tmp_path):
    with pytest.raises(ValueError, match=r"none is missing, or holds no files$"):
        reading.pair(folders[0], tmp_path / "none")


def test_listed_files_stay_below_their_folder(tmp_path):
    assert reading.below(tmp_path, "/a/b.png", "list") == tmp_path / "a" / "b.png"
    for name in ("../b.png", "a/../../b.png", "a\\..\\b.png", "/"):
        with pytest.raises(ValueError, match=f"^list, line 3: '{re.escape(name)}' does not lie in "):
            reading.below(tmp_path, name, "list, line 3")
