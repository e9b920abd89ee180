"""The store: what is written is what is read, and damage, lies and full disks are told."""

import hashlib
import io
import multiprocessing
import pickle
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from mettle import tables
from mettle.data import keyed
from mettle.data import store as module
from mettle.data.item import Item, png
from mettle.data.store import Store, write

SCRIPTS = Path(module.__file__).parents[2]


def arrays(n, size=16):
    return np.random.default_rng(n).integers(0, 256, (n, size, size, 3), np.uint8)


def items(n, size=16):
    return [Item(png(array), k % 3, "abc"[k % 3], f"made {k}") for k, array in enumerate(arrays(n, size))]


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "deep" / "test.lmdb", tmp_path / "deep" / "test.parquet"


def names(paths):
    return sorted(path.name for path in paths[0].parent.iterdir())


def test_reads_what_was_written(paths):
    assert write(*paths, items(7), classes=3) == 7
    store = Store(paths[0])
    assert len(store) == 7
    assert store.ids.dtype == store.labels.dtype == np.int64
    assert store.ids.tolist() == list(range(7))
    assert store.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert store.class_names == ["a", "b", "c"]
    assert np.array_equal(store.arrays(), arrays(7))
    assert np.array_equal(store.arrays([4, 1]), arrays(7)[[4, 1]])
    assert store.image(np.int64(3)).mode == "RGB"
    assert names(paths) == ["test.lmdb", "test.parquet"]


def test_a_store_is_one_file_of_encoded_images_under_decimal_keys(paths):
    made = items(3)
    write(*paths, made)
    with lmdb.open(str(paths[0]), subdir=False, readonly=True, lock=False) as env, env.begin() as transaction:
        assert list(transaction.cursor()) == [(b"%08d" % k, item.data) for k, item in enumerate(made)]


def test_the_manifest_says_what_the_images_are_and_what_made_them(paths):
    seen = {"label": 1, "x0": 0, "y0": 2, "x1": 4, "y1": 5, "depth": 0, "mask": b"png"}
    made = items(2)
    write(*paths, [replace(made[0], objects=[seen]), made[1]], provenance={"rule": "prep"})
    frame = tables.read(paths[1], tables.MANIFEST)
    assert frame["source"].tolist() == ["made 0", "made 1"]
    assert list(frame["objects"][0]) == [seen]
    assert frame["objects"][1] is None
    assert frame.attrs["provenance"] == [{"rule": "prep"}]


def test_the_same_images_give_the_same_bytes(paths, tmp_path):
    write(*paths, items(5))
    again = tmp_path / "again.lmdb"
    write(again, tmp_path / "again.parquet", items(5))
    assert again.read_bytes() == paths[0].read_bytes()
    assert Store(again).digest == Store(paths[0]).digest


def test_a_store_grows_and_takes_more_than_one_batch(paths, monkeypatch):
    monkeypatch.setattr(keyed, "_MAP_SIZE", 1 << 16)
    monkeypatch.setattr(module, "_BATCH", 64)
    assert write(*paths, iter(items(300))) == 300
    assert np.array_equal(Store(paths[0]).arrays(), arrays(300))


def test_one_item_may_be_larger_than_the_map(paths, monkeypatch):
    monkeypatch.setattr(keyed, "_MAP_SIZE", 1 << 16)
    write(*paths, items(1, size=400))
    assert Store(paths[0]).arrays().shape == (1, 400, 400, 3)


def test_progress_sees_every_item(paths):
    seen = []
    write(*paths, items(4), progress=lambda images: (seen.append(image.source) or image for image in images))
    assert seen == ["made 0", "made 1", "made 2", "made 3"]


def test_a_class_without_images_is_named_by_its_index(paths):
    write(*paths, [replace(items(1)[0], label=2)], classes=4)
    assert Store(paths[0]).class_names == ["0", "1", "a"]


@pytest.mark.parametrize(("label", "classes"), [(3, 3), (-1, 3), (-1, None)])
def test_a_label_out_of_range_names_its_image(paths, label, classes):
    made = items(2)
    with pytest.raises(ValueError, match=rf"made 1: label {label} is out of range 0\.\."):
        write(*paths, [made[0], replace(made[1], label=label)], classes=classes)
    assert names(paths) == []


def test_two_names_for_one_class_are_refused(paths):
    made = items(4)
    with pytest.raises(ValueError, match="made 3: class 0 is named 'z', before it was 'a'"):
        write(*paths, [*made[:3], replace(made[3], class_name="z")])


def test_no_images_no_store(paths):
    with pytest.raises(ValueError, match=r"there are no images for .*test\.lmdb"):
        write(*paths, [])
    assert names(paths) == []


def test_an_old_store_survives_a_failed_rewrite(paths):
    write(*paths, items(3))
    before = [path.read_bytes() for path in paths]

    def broken():
        yield from items(300)
        raise RuntimeError("reader fell over")

    with pytest.raises(RuntimeError, match="reader fell over"):
        write(*paths, broken())
    assert [path.read_bytes() for path in paths] == before
    assert names(paths) == ["test.lmdb", "test.parquet"]


def test_a_store_can_be_rewritten_while_it_is_read(paths):
    write(*paths, items(3))
    old = Store(paths[0])
    write(*paths, items(5))
    new = Store(paths[0])
    assert np.array_equal(old.arrays(), arrays(3))
    assert np.array_equal(new.arrays(), arrays(5))


def fill_the_disk(paths, images, source, limit):
    """Write under a limit on file size: the kernel refuses to write on, as it does on a full disk."""
    body = f"""
        import resource, signal
        from pathlib import Path
        import numpy as np
        from mettle.data.item import Item, png
        from mettle.data.store import write
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        rng = np.random.default_rng(0)
        noise = lambda: png(rng.integers(0, 256, (32, 32, 3), np.uint8))
        items = (Item(noise(), 0, "a", rng.bytes({source}).hex()) for _ in range({images}))
        try:
            write({str(paths[0])!r}, {str(paths[1])!r}, items)
        except OSError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(body)]
    done = subprocess.run(command, env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("images", "source", "message"),
    [
        (1000, 4, "test.lmdb cannot be written after 256 images: "),
        (2, 1 << 21, "test.parquet cannot be written for 2 "),
    ],
)
def test_a_full_disk_is_told_and_leaves_nothing(paths, images, source, message):
    assert message in fill_the_disk(paths, images, source, 3 << 19)
    assert names(paths) == []


def test_a_full_disk_leaves_the_old_store(paths):
    write(*paths, items(3))
    assert "MiB free on its disk" in fill_the_disk(paths, 1000, 4, 1 << 20)
    assert np.array_equal(Store(paths[0]).arrays(), arrays(3))
    assert names(paths) == ["test.lmdb", "test.parquet"]


def test_a_flipped_bit_is_found_on_read(paths):
    made = items(5)
    write(*paths, made)
    content = bytearray(paths[0].read_bytes())
    content[content.index(made[2].data) + 100] ^= 1
    paths[0].write_bytes(content)
    store = Store(paths[0])
    assert np.array_equal(store.arrays([0, 1, 3, 4]), arrays(5)[[0, 1, 3, 4]])
    with pytest.raises(ValueError, match=r"test\.lmdb: image with id 2 is damaged"):
        store.image(2)


def test_a_missing_key_is_told(paths):
    write(*paths, items(3))
    with (
        lmdb.open(str(paths[0]), subdir=False, lock=False) as env,
        env.begin(write=True) as transaction,
    ):
        transaction.put(b"other", transaction.pop(b"00000001"))
    with pytest.raises(ValueError, match=r"test\.lmdb: image with id 1 is missing"):
        Store(paths[0]).image(1)


@pytest.mark.parametrize("index", [3, -1])
def test_a_position_out_of_range_is_told(paths, index):
    write(*paths, items(3))
    with pytest.raises(IndexError, match=rf"test\.lmdb holds images 0 to 2, asked for {index}"):
        Store(paths[0]).image(index)


def test_one_array_needs_one_size(paths):
    write(*paths, [*items(1, 8), *items(1, 9)])
    with pytest.raises(ValueError, match=r"test\.lmdb: images differ in size, \(8, 8\) and \(9, 9\)"):
        Store(paths[0]).arrays()


def jpeg(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("encode", [png, jpeg])
def test_threads_put_every_image_in_its_place(paths, encode, threads):
    made = [replace(item, data=encode(array)) for item, array in zip(items(11), arrays(11), strict=True)]
    write(*paths, made)
    expected = np.stack([np.asarray(Image.open(io.BytesIO(item.data))) for item in made])
    store = Store(paths[0])
    assert np.array_equal(store.arrays(threads=threads), expected)
    assert np.array_equal(store.arrays([7, 0, 7], threads), expected[[7, 0, 7]])
    assert np.array_equal(np.stack([np.asarray(store.image(k)) for k in range(11)]), expected)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_thread_tells_what_is_wrong(paths, threads):
    write(*paths, [*items(9), replace(items(1, 9)[0], label=0)])
    with pytest.raises(ValueError, match=r"test\.lmdb: images differ in size, \(16, 16\) and \(9, 9\) for example"):
        Store(paths[0]).arrays(threads=threads)
    with pytest.raises(IndexError, match="asked for 10"):
        Store(paths[0]).arrays([0, 1, 2, 10], threads)


def test_no_indices_no_images(paths):
    write(*paths, items(1))
    assert Store(paths[0]).arrays([]).shape == (0, 0, 0, 3)


def test_a_missing_store_is_told(paths):
    write(*paths, items(1))
    paths[0].unlink()
    with pytest.raises(ValueError, match=r"test\.lmdb is missing or not a file"):
        Store(paths[0])


def test_a_missing_manifest_is_told(paths):
    write(*paths, items(1))
    paths[1].unlink()
    with pytest.raises(ValueError, match=r"test\.parquet, the manifest of the store .*test\.lmdb, is missing"):
        Store(paths[0])


@pytest.mark.parametrize("content", [b"", b"something else" * 1000])
def test_a_foreign_file_is_told(paths, content):
    write(*paths, items(1))
    paths[0].write_bytes(content)
    with pytest.raises(ValueError, match=r"test\.lmdb is not an LMDB file"):
        Store(paths[0])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_half_a_store_is_told(paths, share):
    write(*paths, items(40, size=64))
    size = paths[0].stat().st_size
    paths[0].write_bytes(paths[0].read_bytes()[: int(share * size)])
    with pytest.raises(ValueError, match=rf"test\.lmdb is truncated: it has {int(share * size)} bytes of {size}"):
        Store(paths[0])


def test_half_a_manifest_is_told(paths):
    write(*paths, items(4))
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"test\.parquet is not a complete parquet file"):
        Store(paths[0])


def test_the_manifest_of_another_store_is_told(paths, tmp_path):
    write(*paths, items(4))
    write(tmp_path / "other.lmdb", paths[1], items(3))
    with pytest.raises(ValueError, match=r"test\.lmdb holds 4 images, but its manifest .*test\.parquet lists 3"):
        Store(paths[0])


def test_two_stores_of_one_file_can_be_open(paths):
    write(*paths, items(3))
    first, second = Store(paths[0]), Store(paths[0])
    assert np.array_equal(first.arrays(), second.arrays())
    del first
    assert np.array_equal(second.arrays(), arrays(3))


def test_a_pickled_store_reads_on(paths):
    write(*paths, items(3))
    store = Store(paths[0])
    assert np.array_equal(pickle.loads(pickle.dumps(store)).arrays(), store.arrays())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_read(paths, method):
    write(*paths, items(6))
    store = Store(paths[0])
    store.image(0)
    with multiprocessing.get_context(method).Pool(2) as pool:
        images = pool.map(store.image, range(6))
    assert np.array_equal([np.asarray(image) for image in images], arrays(6))


# Ids of their own


def test_images_may_bring_their_ids(paths):
    made = [replace(item, id=number) for item, number in zip(items(3), (2, 5, 600), strict=True)]
    write(*paths, made)
    store = Store(paths[0])
    assert store.ids.tolist() == [2, 5, 600]
    assert np.array_equal(store.arrays(), arrays(3))
    assert [store.data(position) for position in range(3)] == [item.data for item in made]


@pytest.mark.parametrize(("ids", "message"), [((4, 4), "id 4 follows id 4"), ((4, 3), "id 3 follows id 4")])
def test_ids_increase(paths, ids, message):
    made = [replace(item, id=number) for item, number in zip(items(2), ids, strict=True)]
    with pytest.raises(ValueError, match=rf"^made 1: {message}, but the ids of a store increase$"):
        write(*paths, made)
    assert names(paths) == []


def test_the_manifest_is_read_with_its_sources(paths):
    made = items(3)
    write(*paths, made, provenance={"rule": "prep"})
    frame = Store(paths[0]).manifest()
    assert list(frame) == ["id", "label", "class_name", "sha256", "source"]
    assert frame["source"].tolist() == ["made 0", "made 1", "made 2"]
    assert frame["sha256"].tolist() == [hashlib.sha256(item.data).hexdigest() for item in made]
    assert frame.attrs["provenance"] == [{"rule": "prep"}]
