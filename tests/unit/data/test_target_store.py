"""The store of targets: beside the images, under their ids, whole or not at all, and damage is told."""

import pickle
from dataclasses import replace

import lmdb
import numpy as np
import pytest

from mettle import tables
from mettle.data import Store, TargetStore, write
from mettle.data import store as module
from mettle.data.item import Item, Object, Targets, png
from mettle.data.targets import Expected

EXPECTED = Expected(("label_map", "depth", "objects"), classes=10, map_classes=10)


def items(n, ids=None):
    """Images of different sizes whose targets say which image they are of."""
    found = []
    for k in range(n):
        size = (4 + k % 3, 7)
        made = Targets(
            np.full(size, k % 10, np.uint8),
            np.full(size, 1000 + k, np.uint16),
            0.001,
            [Object(k % 10, (0, 0, 3, 2), 6)],
        )
        image = png(np.full((*size, 3), k % 256, np.uint8))
        found.append(Item(image, k % 2, "ab"[k % 2], f"made {k}", targets=made, id=ids[k] if ids else None))
    return found


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "deep" / "test.lmdb", tmp_path / "deep" / "test.parquet"


def put(paths, made, expected=EXPECTED):
    return write(*paths, made, table=tables.DENSE_MANIFEST, expected=expected)


def names(paths):
    return sorted(path.name for path in paths[0].parent.iterdir())


def test_reads_what_was_written_by_position(paths):
    assert put(paths, items(5, ids=[2, 3, 50, 51, 600])) == 5
    assert names(paths) == ["test.lmdb", "test.parquet", "test.targets.lmdb"]
    found = TargetStore(paths[0])
    assert len(found) == 5
    assert found.kinds == ("label_map", "depth", "objects")
    assert found.ids.tolist() == Store(paths[0]).ids.tolist() == [2, 3, 50, 51, 600]
    assert found.sizes.tolist() == [[4, 7], [5, 7], [6, 7], [4, 7], [5, 7]]
    for k in range(5):
        assert np.array_equal(found.label_map(k), np.full((4 + k % 3, 7), k))
        assert np.allclose(found.depth(k), 1 + k / 1000)
        assert found.objects(k) == [Object(k, (0, 0, 3, 2), 6)]
        assert found.masks(k).sum() == 6


def test_the_file_has_one_database_per_kind_under_the_ids_of_the_images(paths):
    put(paths, items(2, ids=[4, 9]))
    with lmdb.open(
        str(paths[0].with_suffix(".targets.lmdb")), subdir=False, readonly=True, lock=False, max_dbs=3
    ) as env:
        for kind in EXPECTED.kinds:
            with env.begin(db=env.open_db(kind.encode(), create=False)) as transaction:
                assert [key for key, _ in transaction.cursor()] == [b"00000004", b"00000009"]


def test_one_kind_alone(paths):
    made = [replace(item, targets=Targets(depth=item.targets.depth, depth_unit=1 / 256)) for item in items(2)]
    put(paths, made, Expected(("depth",)))
    found = TargetStore(paths[0])
    assert found.kinds == ("depth",)
    assert np.allclose(found.depth(1), 1001 / 256)
    with pytest.raises(ValueError, match=r"test\.targets\.lmdb holds depth, not objects$"):
        found.objects(0)
    frame = tables.read(paths[1], tables.DENSE_MANIFEST)
    assert frame["depth_unit"].tolist() == [1 / 256] * 2
    assert frame["objects_sha256"].isna().all()


def test_images_may_have_no_label(paths):
    put(paths, [replace(item, label=None, class_name="") for item in items(2)])
    store = Store(paths[0])
    assert store.labels.tolist() == [-1, -1]
    assert store.class_names == []
    assert tables.read(paths[1], tables.MANIFEST, ["label"])["label"].isna().all()


def test_more_than_one_batch(paths, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 3)
    put(paths, items(8))
    found = TargetStore(paths[0])
    assert [int(found.label_map(k)[0, 0]) for k in range(8)] == list(range(8))


def test_the_same_targets_give_the_same_bytes(paths, tmp_path):
    put(paths, items(5))
    other = tmp_path / "again.lmdb", tmp_path / "again.parquet"
    put(other, items(5))
    first, second = (path.with_suffix(".targets.lmdb").read_bytes() for path in (paths[0], other[0]))
    assert first == second


def test_a_pickled_store_reads_on(paths):
    put(paths, items(3))
    found = pickle.loads(pickle.dumps(TargetStore(paths[0])))
    assert int(found.label_map(2)[0, 0]) == 2


def test_targets_that_do_not_fit_leave_nothing(paths):
    made = items(3)
    made[2] = replace(made[2], targets=replace(made[2].targets, label_map=np.full((6, 7), 10, np.uint8)))
    with pytest.raises(ValueError, match=r"^made 2: label 10 of its label map, at row 0, column 0, is out of range"):
        put(paths, made)
    assert names(paths) == []


def test_an_old_store_survives_a_failed_rewrite(paths):
    put(paths, items(3))
    with pytest.raises(ValueError, match=r"^made 1: has no targets"):
        put(paths, [items(1)[0], replace(items(2)[1], targets=None)])
    assert int(TargetStore(paths[0]).label_map(2)[0, 0]) == 2


def test_a_flipped_bit_is_found_on_read(paths):
    put(paths, items(3))
    path = paths[0].with_suffix(".targets.lmdb")
    content = bytearray(path.read_bytes())
    content[content.index(b'[{"label":1')] ^= 1
    path.write_bytes(content)
    found = TargetStore(paths[0])
    assert found.objects(0)
    with pytest.raises(ValueError, match=r"test\.targets\.lmdb: objects with id 1 is damaged"):
        found.objects(1)


def test_what_is_missing_is_told(paths, tmp_path):
    put(paths, items(2))
    with pytest.raises(ValueError, match=r"other\.parquet, the manifest of .*other\.targets\.lmdb, is missing"):
        TargetStore(tmp_path / "other.lmdb")
    paths[0].with_suffix(".targets.lmdb").unlink()
    with pytest.raises(ValueError, match=r"test\.targets\.lmdb is missing or not a file"):
        TargetStore(paths[0])


def test_a_store_of_labels_alone_has_no_targets(paths):
    write(*paths, [replace(item, targets=None) for item in items(2)])
    assert names(paths) == ["test.lmdb", "test.parquet"]
    with pytest.raises(ValueError, match=r"test\.parquet holds table 'manifest', expected 'dense_manifest'"):
        TargetStore(paths[0])


def test_targets_of_other_images_are_told(paths, tmp_path):
    put(paths, items(3))
    other = tmp_path / "other.lmdb", tmp_path / "other.parquet"
    put(other, items(2), EXPECTED)
    other[0].with_suffix(".targets.lmdb").replace(paths[0].with_suffix(".targets.lmdb"))
    with pytest.raises(ValueError, match=r"test\.targets\.lmdb holds 2 label maps, but its manifest .* lists 3"):
        TargetStore(paths[0])


def test_a_file_without_a_kind_is_told(paths, tmp_path):
    put(paths, items(2))
    other = tmp_path / "other.lmdb", tmp_path / "other.parquet"
    made = [replace(item, targets=Targets(depth=item.targets.depth)) for item in items(2)]
    put(other, made, Expected(("depth",)))
    other[0].with_suffix(".targets.lmdb").replace(paths[0].with_suffix(".targets.lmdb"))
    with pytest.raises(ValueError, match=r"test\.targets\.lmdb holds no label maps"):
        TargetStore(paths[0])


def test_which_distances_count_is_in_the_manifest(paths):
    made = [replace(item, targets=Targets(depth=item.targets.depth)) for item in items(2)]
    put(paths, made, Expected(("depth",), depth_range=(0.5, 2), depth_crop=(0, 2, 1, 7)))
    frame = tables.read(paths[1], tables.DENSE_MANIFEST)
    assert frame["depth_min"].tolist() == [0.5] * 2 and frame["depth_max"].tolist() == [2.0] * 2
    assert frame["depth_crop"][1].tolist() == [0, 2, 1, 7]
    assert (TargetStore(paths[0]).scored_depth(1) > 0).sum() == 2 * 6
    put(paths, made, Expected(("depth",)))
    assert tables.read(paths[1], tables.DENSE_MANIFEST)[["depth_min", "depth_crop"]].isna().all(axis=None)
    assert np.array_equal(TargetStore(paths[0]).scored_depth(1), TargetStore(paths[0]).depth(1))


def test_a_store_that_does_not_say_which_distances_count_is_refused(paths):
    counting = module.target_store._COUNTING
    old = {key: column for key, column in tables.DENSE_MANIFEST.columns.items() if key not in counting}
    table = replace(tables.DENSE_MANIFEST, columns=old)
    put(paths, items(1))
    tables.write(paths[1], table, tables.read(paths[1], tables.DENSE_MANIFEST, list(old)))
    assert TargetStore(paths[0]).depth(0).all()
    with pytest.raises(ValueError, match=r"test\.targets\.lmdb does not say which distances count: remove it"):
        TargetStore(paths[0]).scored_depth(0)
