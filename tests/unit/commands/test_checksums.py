"""`make checksums`: the column sha256 of the files at hand, and no other byte of a sheet."""

import codecs
import hashlib

import pytest

from imports import ROOT
from mettle import schema
from mettle.commands import checksums
from mettle.plan import sources, zoo

HEAD = "model\tdataset\tarch\trecipe\tthreat\teps\tseed\tsource"
URL = "https://host/c.pth?id=1"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def row(name, source, *rest):
    return "\t".join([f"{name}-r-s0", "digits", name, "r", "none", "0", "0", str(source), *rest])


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A checkpoint, and a download that is there."""
    monkeypatch.chdir(tmp_path)
    sources.DOWNLOADS.mkdir(parents=True)
    sources.parse(URL, "").path.write_bytes(b"fetched")
    (tmp_path / "net.pt").write_bytes(b"weights")
    return tmp_path / "net.pt"


def test_files_at_hand_are_filled_in_and_nothing_else_changes(tmp_path, weights):
    sheet = tmp_path / "models.tsv"
    lines = [
        f"# by hand\n{HEAD}\tsha256\tformat",
        row("a", "train"),
        row("b", "net.pt", "", "timm"),
        "",
        row("c", f"{URL}#inside"),
        row("d", "absent.pt", "", "timm"),
        row("e", "https://host/other.pth"),
    ]
    sheet.write_text("\n".join(lines))
    said, wrong = checksums.fill(sheet)
    lines[2] = row("b", "net.pt", digest(weights), "timm")
    lines[4] = row("c", f"{URL}#inside", hashlib.sha256(b"fetched").hexdigest())
    assert sheet.read_text() == "\n".join(lines)
    assert said[0] == f"{sheet}, line 4: {digest(weights)} of net.pt" and len(said) == 2 and not wrong
    assert schema.read_sheet(sheet, "models")["b-r-s0"]["sha256"] == digest(weights)
    assert checksums.fill(sheet) == ([], [])


@pytest.mark.parametrize(
    ("mark", "coding", "end"),
    [
        (b"", "utf-8", "\r\n"),
        (codecs.BOM_UTF8, "utf-8", "\n"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "\r\n"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "\r"),
    ],
)
def test_encoding_line_ends_and_quotation_marks_stay(tmp_path, weights, mark, coding, end):
    sheet = tmp_path / "models.tsv"
    before = end.join([f"{HEAD}\tsha256\tlicence", row("b", '"net.pt"', '""', '"a ""free"" one"\t'), "  # ü", ""])
    sheet.write_bytes(mark + before.encode(coding))
    checksums.fill(sheet)
    assert sheet.read_bytes() == mark + before.replace('\t""\t', f"\t{digest(weights)}\t").encode(coding)


def test_a_sheet_without_the_column_gets_it(tmp_path, weights):
    sheet = tmp_path / "models.tsv"
    sheet.write_text(f"{HEAD}\n{row('a', 'train')}\n{row('b', 'net.pt')}\n")
    checksums.fill(sheet)
    assert sheet.read_text() == f"{HEAD}\tsha256\n{row('a', 'train')}\n{row('b', 'net.pt', digest(weights))}\n"


def test_nothing_is_written_over(tmp_path, weights, capsys):
    sheet = tmp_path / "models.tsv"
    sheet.write_text(f"{HEAD}\tsha256\n{row('b', 'net.pt', '0' * 64)}\n")
    before = sheet.read_bytes()
    assert checksums.main([str(sheet)]) == 1 and sheet.read_bytes() == before
    told = f"{sheet}, line 2: net.pt has SHA-256 {digest(weights)}, the row says {'0' * 64}: fetch the file again, or"
    assert told in capsys.readouterr().out


def test_data_sets_and_their_folders(tmp_path, weights):
    sheet = tmp_path / "datasets.tsv"
    (tmp_path / "folder").mkdir()
    head = "dataset\ttask\tclasses\tsize\treader\tsource\tsha256"
    rows = [f"{name}\tclassification\t2\t0\tfolder\t{source}" for name, source in (("a", "folder"), ("b", "net.pt"))]
    sheet.write_text("\n".join([head, *rows]))
    checksums.fill(sheet)
    assert sheet.read_text() == "\n".join([head, rows[0], f"{rows[1]}\t{digest(weights)}"])


def test_what_hugging_face_has_fetched_is_at_hand(tmp_path, weights, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda *found, revision: asked.append((*found, revision)) or str(weights),
    )
    sheet = tmp_path / "models.tsv"
    sheet.write_text(f"{HEAD}\tsha256\n{row('b', 'hf://me/nets@v1/a/b.pt')}\n")
    checksums.fill(sheet)
    assert asked == [("me/nets", "a/b.pt", "v1")] and digest(weights) in sheet.read_text()


def test_the_file_of_a_network_of_robustbench_is_that_of_its_address(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "cifar10/Linf/Carmon2019Unlabeled"
    place = sources.parse(zoo.entries()[name]["source"], "here").path
    place.parent.mkdir(parents=True, exist_ok=True)
    weights.rename(place)
    sheet = tmp_path / "models.tsv"
    sheet.write_text(f"model\tdataset\tsource\na\tcifar10\trobustbench:{name}\n")
    checksums.fill(sheet)
    assert sheet.read_text().endswith(f"robustbench:{name}\t{digest(place)}\n")


def test_what_is_no_sheet_is_told(tmp_path, weights, capsys):
    sheet = tmp_path / "other.tsv"
    sheet.write_text("a\tb\n1\t2\n")
    assert checksums.main([str(sheet), str(tmp_path / "nowhere.tsv")]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert "unknown column 'a'" in first and "nowhere.tsv" in second


def test_the_shipped_sheets_need_no_change():
    sheets = [ROOT / "config" / "datasets.tsv", *sorted((ROOT / "config" / "models").glob("*.tsv"))]
    assert ROOT / "config" / "models" / "demo.tsv" in sheets
    for sheet in sheets:
        before = sheet.read_bytes()
        assert schema.load("datasets" if sheet == sheets[0] else "models")["properties"]["sha256"]
        checksums._write(sheet, {})
        assert sheet.read_bytes() == before
