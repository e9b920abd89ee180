"""Archives: what is taken out of one, and that a hostile one writes nothing anywhere else."""

import io
import stat
import tarfile
import zipfile
from types import SimpleNamespace

import pytest

from mettle.data.archives import taken

FILES = {"data/eps0/c.pt": b"zero", "data/eps1/c.pt": b"one", "data/eps1/more/d.pt": b"more", "readme": b"text"}


def zipped(path, files, mode=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode or stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return path


def tarred(path, files, kind=tarfile.REGTYPE, link=""):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(content))
    return path


PACKED = {"zip": zipped, "tar.gz": tarred}
both = pytest.mark.parametrize("kind", PACKED)


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The folder that archives are unpacked in; a hostile one would write beside it."""
    folder = tmp_path / "outer" / "temporary"
    folder.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@both
@pytest.mark.parametrize("name", ["data/eps1/c.pt", "*1/c.pt"])
def test_a_file_by_name_or_pattern(tmp_path, temporary, kind, name):
    path = PACKED[kind](tmp_path / f"a.{kind}", FILES)
    with taken(path, name) as found:
        assert found.read_bytes() == b"one" and temporary in found.parents
        assert len(content(temporary)) == 1  # nothing else is unpacked
    assert not list(temporary.iterdir())


@both
@pytest.mark.parametrize(("name", "prefix"), [("data/eps1", "data/eps1/"), ("data/eps1/", "data/eps1/"), (".", "")])
def test_a_folder_and_the_whole(tmp_path, kind, name, prefix):
    path = PACKED[kind](tmp_path / f"a.{kind}", FILES)
    with taken(path, name) as found:
        assert content(found) == {key.removeprefix(prefix): value for key, value in FILES.items() if prefix in key}


def test_folders_that_an_archive_lists(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        (tmp_path / "made" / "cat").mkdir(parents=True)
        (tmp_path / "made" / "cat" / "1.jpg").write_bytes(b"cat")
        archive.add(tmp_path / "made", "./made")
    with taken(tmp_path / "a.tar", "made") as found:
        assert content(found) == {"cat/1.jpg": b"cat"}


def test_without_a_member_the_file_itself(tmp_path):
    with taken(tmp_path / "no archive", "") as found:
        assert found == tmp_path / "no archive"


@both
@pytest.mark.parametrize(("name", "fits"), [("eps7/c.pt", 0), ("*/c.pt", 2)])
def test_a_name_that_does_not_fit_one_is_told_with_those_there_are(tmp_path, kind, name, fits):
    path = PACKED[kind](tmp_path / f"a.{kind}", FILES)
    message = rf"fits {fits} names in .*, not one; there are data, data/eps0, data/eps0/c\.pt"
    with pytest.raises(ValueError, match=message), taken(path, name):
        pass


@both
def test_a_damaged_archive_is_told(tmp_path, temporary, kind):
    path = PACKED[kind](tmp_path / f"a.{kind}", {"c.pt": bytes(range(256)) * 999})
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 255
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"a\..* cannot be unpacked: "), taken(path, "c.pt"):
        pass
    path.write_bytes(b"no archive")
    with (
        pytest.raises(ValueError, match=r"is not a zip or tar archive, so nothing can be taken out of it"),
        taken(path, "."),
    ):
        pass
    assert not list(temporary.iterdir())


@both
def test_what_does_not_fit_the_disk_is_not_begun(tmp_path, temporary, kind, monkeypatch):
    path = PACKED[kind](tmp_path / f"a.{kind}", {"zeros": bytes(10**6), "c.pt": b"one"})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10**5))
    message = rf"unpacks to 1000003 bytes, but {temporary} has 100000 free: set TMPDIR to"
    with pytest.raises(ValueError, match=message), taken(path, "."):
        pass
    with taken(path, "c.pt") as found:
        assert found.read_bytes() == b"one"


# Hostile archives


def refused(path, member, message, outer):
    before = content(outer)
    with pytest.raises(ValueError, match=message), taken(path, member):
        pass
    assert content(outer) == before


ESCAPES = ["../evil", "../../evil", "a/../../evil", "/tmp/mettle-evil", "..\\..\\evil"]


@both
@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("member", [None, "*evil", "."])
def test_a_path_that_leads_out_is_refused(tmp_path, kind, name, member):
    path = PACKED[kind](tmp_path / f"a.{kind}", {name: b"evil"})
    # zipfile and tarfile change some names as they read them; what is left is harmless or refused.
    refused(path, member or name, r"would be written outside|fits 0 names", tmp_path)


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
@pytest.mark.parametrize("member", ["data", "data/x", "."])
def test_no_link_device_or_pipe_of_a_zip_is_made(tmp_path, mode, member):
    path = zipped(tmp_path / "a.zip", {"data/x": b"/etc/passwd"}, mode | 0o777)
    refused(path, member, r"holds 'data/x', which is a link, a device or a pipe, not a file", tmp_path)


KINDS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]


@pytest.mark.parametrize("type_", KINDS)
@pytest.mark.parametrize("member", ["data", "data/x", "."])
def test_no_link_device_or_pipe_of_a_tar_is_made(tmp_path, type_, member):
    path = tarred(tmp_path / "a.tar.gz", {"data/x": b""}, type_, "/etc/passwd")
    refused(path, member, r"holds 'data/x', which is a link, a device or a pipe, not a file", tmp_path)


def test_a_file_does_not_go_through_a_link_of_the_same_archive(tmp_path):
    (tmp_path / "target").mkdir()
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("data")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "target")
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("data/evil"))
    refused(tmp_path / "a.tar", "data", r"holds 'data', which is a link", tmp_path)
    assert not list((tmp_path / "target").iterdir())


@both
def test_a_link_elsewhere_in_the_archive_does_no_harm(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(zipped(path, {"link": b"/etc"}, stat.S_IFLNK | 0o777), "a") as archive:
            archive.writestr("data/c.pt", b"one")
    else:
        with tarfile.open(path, "w:gz") as archive:
            for name, type_ in (("link", tarfile.SYMTYPE), ("data/c.pt", tarfile.REGTYPE)):
                info = tarfile.TarInfo(name)
                info.type, info.linkname = type_, "/etc"
                archive.addfile(info)
    with taken(path, "data") as found:
        assert list(content(found)) == ["c.pt"]


def test_a_name_that_stands_twice_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("c.pt"))
    refused(tmp_path / "a.tar", "c.pt", r"a\.tar cannot be unpacked: .*File exists", tmp_path)
