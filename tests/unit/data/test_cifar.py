"""CIFAR archives, made on the spot byte by byte as Python 2 wrote the published ones."""

import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mettle.data import cifar

BATCHES = [f"data_batch_{number}" for number in range(1, 6)]
FINE = [f"thing_{k}" for k in range(6)]
CLASSES = {10: ["plane", "car", "bird"], 100: FINE}


def emit(value):
    """Pickle opcodes of a value as Python 2's protocol 2 writes them, arrays with numpy's old module name."""
    if isinstance(value, str | bytes):
        text = value.encode() if isinstance(value, str) else value
        return b"T" + struct.pack("<i", len(text)) + text
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, np.ndarray):
        kind = b"cnumpy\ndtype\n" + emit("u1") + emit(0) + emit(1) + b"\x87R"
        kind += emit((3, "|", None, None, None, -1, -1, 0)) + b"b"
        made = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + emit((0,)) + emit("b") + b"\x87R"
        return made + b"(" + emit(1) + emit(value.shape) + kind + emit(False) + emit(value.tobytes()) + b"tb"
    parts = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
    return b"(" + b"".join(map(emit, parts)) + {dict: b"d", list: b"l", tuple: b"t"}[type(value)]


def python2(value):
    return b"\x80\x02" + emit(value) + b"."


def made(name, classes, n=4):
    """Labels and pixels of one file, different for each name."""
    rng = np.random.default_rng(sum(name.encode()))
    return rng.integers(0, classes, n).tolist(), rng.integers(0, 256, (n, 3072), np.uint8)


def python_files(kind, write=python2):
    key, meta = {10: ("labels", "label_names"), 100: ("fine_labels", "fine_label_names")}[kind]
    files = {"batches.meta" if kind == 10 else "meta": write({meta: CLASSES[kind]})}
    for name in [*BATCHES, "test_batch"] if kind == 10 else ["train", "test"]:
        labels, data = made(name, len(CLASSES[kind]))
        extra = {} if kind == 10 else {"coarse_labels": [0] * 4}
        files[name] = write({"batch_label": name, key: labels, "data": data, "filenames": ["x.png"] * 4} | extra)
    return files


def binary_files(kind):
    files = {"batches.meta.txt" if kind == 10 else "fine_label_names.txt": "\n".join([*CLASSES[kind], ""]).encode()}
    for name in [*BATCHES, "test_batch"] if kind == 10 else ["train", "test"]:
        coarse = b"" if kind == 10 else b"\x13"
        rows = zip(*made(name, len(CLASSES[kind])), strict=True)
        files[f"{name}.bin"] = b"".join(coarse + bytes([label]) + image.tobytes() for label, image in rows)
    return files


FILES = {
    "cifar10_python": lambda: python_files(10),
    "cifar100_python": lambda: python_files(100),
    "cifar10_binary": lambda: binary_files(10),
    "cifar100_binary": lambda: binary_files(100),
}
VERSIONS = list(FILES)


def pack(path, version, files, mode="w:gz"):
    folder = cifar.VERSIONS[version].folder
    with tarfile.open(path, mode) as archive:
        for name, content in {"readme.html": b"<html>", **files}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def kind(version):
    return 10 if version.startswith("cifar10_") else 100


def read(source, version, split="train", classes=None):
    classes = len(CLASSES[kind(version)]) if classes is None else classes
    return list(cifar.VERSIONS[version].read(source, split, classes, 0))


def expected(version, split):
    folder, names = cifar.VERSIONS[version].folder, CLASSES[kind(version)]
    for file in getattr(cifar.VERSIONS[version], split):
        labels, data = made(Path(file).stem, len(names))
        for row, label in enumerate(labels):
            yield label, names[label], f"{folder}/{file}[{row}]", data[row]


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("version", VERSIONS)
def test_archives_are_read_as_published(tmp_path, version, split):
    items = read(pack(tmp_path / "cifar.tar.gz", version, FILES[version]()), version, split)
    wanted = list(expected(version, split))
    assert len(items) == len(wanted) > 0
    for item, (label, name, source, pixels) in zip(items, wanted, strict=True):
        assert (item.label, item.class_name, item.source) == (label, name, source)
        image = np.asarray(Image.open(io.BytesIO(item.data)))
        assert np.array_equal(image, pixels.reshape(3, 32, 32).transpose(1, 2, 0))


@pytest.mark.parametrize("inner", [True, False])
@pytest.mark.parametrize("version", VERSIONS)
def test_unpacked_folders_give_the_same(tmp_path, version, inner):
    archive = pack(tmp_path / "cifar.tar.gz", version, FILES[version]())
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    folder = tmp_path / cifar.VERSIONS[version].folder if inner else tmp_path
    assert read(folder, version) == read(archive, version)


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles_of_today_are_read_too(tmp_path, protocol):
    files = python_files(10, lambda value: pickle.dumps(value, protocol))
    old = pack(tmp_path / "old.tar.gz", "cifar10_python", python_files(10))
    new = pack(tmp_path / "new.tar.gz", "cifar10_python", files)
    assert read(new, "cifar10_python") == read(old, "cifar10_python")


@pytest.mark.parametrize("kind_", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_in_an_archive_is_no_file(tmp_path, kind_):
    files = binary_files(10)
    secret = tmp_path / "secret"
    secret.write_bytes(files.pop("test_batch.bin"))
    path = pack(tmp_path / "cifar.tar", "cifar10_binary", files, mode="w")
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        member.type, member.linkname = kind_, str(secret)
        archive.addfile(member)
    with pytest.raises(ValueError, match=r"cifar\.tar lacks cifar-10-batches-bin/test_batch\.bin$"):
        read(path, "cifar10_binary", "test")


def test_an_archive_is_read_and_never_unpacked(tmp_path):
    path = tmp_path / "in" / "cifar.tar"
    path.parent.mkdir()
    pack(path, "cifar10_binary", binary_files(10), mode="w")
    with tarfile.open(path, "a") as archive:
        for name in ("../evil", "/tmp/evil", "../../cifar-10-batches-bin/evil"):
            archive.addfile(tarfile.TarInfo(name))
    assert len(read(path, "cifar10_binary", "test")) == 4
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]


class Payload:
    """A pickle that would write a file when loaded."""

    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path, protocol):
    import os

    mark = tmp_path / "executed"
    for call, args in [(os.system, (f"touch {mark}",)), (eval, (f"open({str(mark)!r}, 'w')",)), (open, (mark, "w"))]:
        files = python_files(10) | {"data_batch_2": pickle.dumps({"data": Payload(call, *args)}, protocol)}
        archive = pack(tmp_path / "evil.tar.gz", "cifar10_python", files)
        with pytest.raises(ValueError, match=r"evil\.tar\.gz: data_batch_2 is damaged or not a CIFAR file: it asks"):
            read(archive, "cifar10_python")
        assert not mark.exists()


def test_names_inside_numpy_cannot_be_reached(tmp_path):
    text = b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93."
    archive = pack(tmp_path / "evil.tar.gz", "cifar10_python", python_files(10) | {"data_batch_1": text})
    with pytest.raises(ValueError, match=r"it asks for numpy\.dtype\.__init__, which no CIFAR file needs"):
        read(archive, "cifar10_python")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.9999])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_truncated_archive_is_named(tmp_path, version, share):
    archive = pack(tmp_path / "half.tar.gz", version, FILES[version]())
    archive.write_bytes(archive.read_bytes()[: int(share * archive.stat().st_size)])
    with pytest.raises(ValueError, match=r"half\.tar\.gz is truncated, damaged, or no tar archive"):
        read(archive, version)


def test_a_foreign_file_is_named(tmp_path):
    path = tmp_path / "page.tar.gz"
    path.write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(ValueError, match=r"page\.tar\.gz is truncated, damaged, or no tar archive"):
        read(path, "cifar10_python")


def test_a_damaged_archive_is_named(tmp_path):
    archive = pack(tmp_path / "bad.tar.gz", "cifar10_binary", binary_files(10))
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 64
    archive.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.tar\.gz is truncated, damaged, or no tar archive"):
        read(archive, "cifar10_binary")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_missing_member_is_named(tmp_path, version):
    files = FILES[version]()
    gone = cifar.VERSIONS[version].train[-1]
    del files[gone]
    folder = cifar.VERSIONS[version].folder
    with pytest.raises(ValueError, match=rf"cifar\.tar\.gz lacks {folder}/{gone}"):
        read(pack(tmp_path / "cifar.tar.gz", version, files), version)
    (tmp_path / folder).mkdir()
    for name, content in files.items():
        (tmp_path / folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{folder} lacks {gone}"):
        read(tmp_path, version)


def test_the_other_version_is_told(tmp_path):
    archive = pack(tmp_path / "cifar.tar.gz", "cifar10_binary", binary_files(10))
    with pytest.raises(ValueError, match=r"cifar\.tar\.gz lacks cifar-10-batches-py/batches\.meta"):
        read(archive, "cifar10_python")


@pytest.mark.parametrize("change", [-1, 1, "all"])
def test_a_binary_file_of_the_wrong_size_is_named(tmp_path, change):
    files = binary_files(100)
    whole = files["train.bin"]
    files["train.bin"] = {-1: whole[:-1], 1: whole + b"x", "all": b""}[change]
    message = rf"train\.bin has {len(files['train.bin'])} bytes, not a multiple of 3074"
    with pytest.raises(ValueError, match=message):
        read(pack(tmp_path / "cifar.tar.gz", "cifar100_binary", files), "cifar100_binary")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_label_out_of_range_is_named(tmp_path, version):
    files, name = FILES[version](), cifar.VERSIONS[version].test[0]
    n = len(CLASSES[kind(version)])
    if "binary" in version:
        row = 3072 + (1 if kind(version) == 10 else 2)
        content = bytearray(files[name])
        content[2 * row + row - 3073] = n
        files[name] = bytes(content)
    else:
        key = "labels" if kind(version) == 10 else "fine_labels"
        files[name] = python2({key: [0, 0, n], "data": np.zeros((3, 3072), np.uint8)})
    with pytest.raises(ValueError, match=rf"cifar\.tar\.gz: {name}\[2\]: label {n} is out of range 0\.\.{n - 1}"):
        read(pack(tmp_path / "cifar.tar.gz", version, files), version, "test")


@pytest.mark.parametrize("version", VERSIONS)
def test_another_number_of_classes_is_refused(tmp_path, version):
    archive = pack(tmp_path / "cifar.tar.gz", version, FILES[version]())
    with pytest.raises(ValueError, match=r"cifar\.tar\.gz: .* holds \d classes, but `classes` says 20"):
        read(archive, version, classes=20)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": [0, 1], "data": np.zeros((3, 3072), np.uint8)}, "holds uint8 data of shape .3, 3072. for 2 labels"),
        ({"labels": [0], "data": np.zeros((1, 3071), np.uint8)}, "holds uint8 data of shape .1, 3071. for 1 labels"),
        ({"labels": ["0"], "data": np.zeros((1, 3072), np.uint8)}, "'labels' is not a list of integers"),
        ({"labels": 3, "data": np.zeros((1, 3072), np.uint8)}, "'labels' is not a list of integers"),
        ({"labels": [0]}, "has no 'data', only labels"),
        ({"data": np.zeros((1, 3072), np.uint8)}, "has no 'labels', only data"),
        ([1, 2], "holds a list, not the dictionary of a CIFAR file"),
    ],
)
def test_inconsistent_contents_are_named(tmp_path, content, message):
    files = python_files(10) | {"test_batch": python2(content)}
    with pytest.raises(ValueError, match=rf"cifar\.tar\.gz: test_batch:? {message}"):
        read(pack(tmp_path / "cifar.tar.gz", "cifar10_python", files), "cifar10_python", "test")


def test_a_truncated_pickle_in_a_folder_is_named(tmp_path):
    for name, content in python_files(100).items():
        (tmp_path / name).write_bytes(content[: len(content) // 2] if name == "train" else content)
    with pytest.raises(ValueError, match="train is damaged or not a CIFAR file"):
        read(tmp_path, "cifar100_python")
