"""The rule convert on checkpoints in timm format: sources, normalisation; and the sheet of published ones."""

import hashlib
import http.server
import json
import threading
import types
import zipfile
from functools import partial

import pytest
import timm
import torch

from imports import ROOT
from mettle import models, schema, train
from mettle.train import fetch

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
RECIPE = {"epochs": 1, "input": {"size": 64, "resize": None, "interpolation": "bilinear", "mean": MEAN, "std": STD}}


@pytest.fixture
def job():
    said = []
    return types.SimpleNamespace(
        provenance={"rule": "convert"}, say=said.append, said=said, progress=lambda items, *rest: items
    )


@pytest.fixture
def network():
    torch.manual_seed(0)
    return timm.create_model("lcnet_050", num_classes=5).eval()


def row(source, **other):
    found = {"model": "lcnet_050-r-s0", "dataset": "digits", "arch": "lcnet_050", "recipe": "r", "classes": 5}
    found |= {"threat": "linf", "eps": 8 / 255, "seed": 0, "source": str(source), "format": "timm"}
    return found | other


def saved(path, whole):
    torch.save(whole, path)
    return path


def answers(path, network, mean, std):
    model, about = models.load(path)
    x = torch.rand(3, 3, 64, 64)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (mean, std))
    with torch.inference_mode():
        assert torch.equal(model(x), network((x - mean) / std))
    return about


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves a folder; a path under /short/ announces more bytes than it sends."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if not self.path.startswith("/short/"):
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")

        def log_message(self, *args):
            pass

    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "served"
    folder.mkdir()
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield types.SimpleNamespace(folder=folder, url=f"http://127.0.0.1:{found.server_port}")
    found.shutdown()
    thread.join()
    found.server_close()


def test_a_bare_state_takes_the_recipes_normalisation(tmp_path, job, network):
    path = saved(tmp_path / "c.pth", network.state_dict())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    train.convert(row(path), RECIPE, tmp_path / "w.safetensors", job)
    about = answers(tmp_path / "w.safetensors", network, MEAN, STD)
    assert (about["mean"], about["std"], about["sha256"], about["eps"]) == (MEAN, STD, digest, 8 / 255)
    assert [text for text in job.said if digest in text and "column `sha256` of row 'lcnet_050-r-s0'" in text]


def test_a_sha256_that_fits_is_not_told(tmp_path, job, network):
    path = saved(tmp_path / "c.pth", network.state_dict())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    train.convert(row(path, sha256=digest), RECIPE, tmp_path / "w.safetensors", job)
    assert not job.said
    with pytest.raises(ValueError, match=r"c\.pth has SHA-256 [0-9a-f]{64}, the row says 0{64}: download it again"):
        train.convert(row(path, sha256="0" * 64), RECIPE, tmp_path / "other.safetensors", job)


def test_a_normaliser_in_the_file_goes_before_the_recipes(tmp_path, job, network):
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    whole = {"0.mean": torch.tensor(mean).view(1, 3, 1, 1), "0.std": torch.tensor(std).view(1, 3, 1, 1)}
    whole |= {f"1.{key}": value for key, value in network.state_dict().items()}
    train.convert(row(saved(tmp_path / "c.pth", {"state_dict": whole})), RECIPE, tmp_path / "w.safetensors", job)
    about = answers(tmp_path / "w.safetensors", network, mean, std)
    assert about["mean"] == pytest.approx(mean) and about["std"] == pytest.approx(std)


def test_a_checkpoint_of_other_classes_is_refused(tmp_path, job, network):
    path = saved(tmp_path / "c.pth", network.state_dict())
    with pytest.raises(ValueError, match=r"classifier\.weight has shape \(5, 1280\), expected \(6, 1280\)"):
        train.convert(row(path, classes=6), RECIPE, tmp_path / "w.safetensors", job)


def test_a_download_is_kept_and_used_again(tmp_path, job, network, server, monkeypatch):
    saved(server.folder / "c.pth", network.state_dict())
    monkeypatch.setattr(fetch, "DOWNLOADS", tmp_path / "downloads")
    monkeypatch.setattr(
        fetch, "download", lambda url, *rest, real=fetch.download: real(url.replace("https", "http", 1), *rest)
    )
    source = row(server.url.replace("http", "https") + "/c.pth?id=1&confirm=t")
    train.convert(source, RECIPE, tmp_path / "w.safetensors", job)
    assert answers(tmp_path / "w.safetensors", network, MEAN, STD)["source"] == source["source"]
    (kept,) = (tmp_path / "downloads").iterdir()
    assert kept.name.startswith("lcnet_050-r-s0-") and kept.suffix == ".pth"
    (server.folder / "c.pth").unlink()
    train.convert(source, RECIPE, tmp_path / "again.safetensors", job)


def test_a_download_is_verified_before_it_is_kept(tmp_path, job, server):
    (server.folder / "c.pth").write_bytes(b"weights")
    target = tmp_path / "downloads" / "c.pth"
    with pytest.raises(ValueError, match=r"has SHA-256 [0-9a-f]{64}, the row says 0{64}"):
        fetch.download(f"{server.url}/c.pth", target, "0" * 64, job)
    assert list(target.parent.iterdir()) == []
    fetch.download(f"{server.url}/c.pth", target, hashlib.sha256(b"weights").hexdigest(), job)
    assert target.read_bytes() == b"weights" and list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("page.html", r"answers with a web page instead of a file: download it by hand and put its path into"),
        ("short/c.pth", r"sent 4 of 1000 bytes: try again, or download it by hand"),
        ("nothing.pth", r"cannot be downloaded \(HTTP Error 404: File not found\): download it by hand"),
    ],
)
def test_a_download_that_fails_leaves_nothing_and_says_what_to_do(tmp_path, job, server, name, message):
    (server.folder / "page.html").write_text("<html>Quota exceeded</html>")
    target = tmp_path / "downloads" / "c.pth"
    with pytest.raises(ConnectionError, match=message):
        fetch.download(f"{server.url}/{name}", target, None, job)
    assert list(target.parent.iterdir()) == []


def test_nobody_at_the_other_end_is_told(tmp_path, job, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(ConnectionError, match=r"^http://127\.0\.0\.1:9/c\.pth cannot be downloaded \(.*refused.*\): "):
        fetch.download("http://127.0.0.1:9/c.pth", tmp_path / "c.pth", None, job)


# Zenodo: a record lists its files, and an archive its members


@pytest.fixture
def record(server, tmp_path, monkeypatch):
    """Puts files into record 77 of a Zenodo on this machine; downloads go to a folder of the test."""
    monkeypatch.setattr(fetch, "ZENODO", f"{server.url}/records")
    monkeypatch.setattr(fetch, "DOWNLOADS", tmp_path / "downloads")
    (server.folder / "records").mkdir()

    def put(**md5):
        files = []
        for path in sorted(server.folder.glob("*.*")):
            digest = md5.get(path.stem) or hashlib.md5(path.read_bytes()).hexdigest()
            link = {"self": f"{server.url}/{path.name}"}
            files.append({"key": path.name, "size": path.stat().st_size, "checksum": f"md5:{digest}", "links": link})
        (server.folder / "records" / "77").write_text(json.dumps({"id": 77, "files": files}))
        return server.folder

    return put


@pytest.mark.parametrize("name", ["c.pth", "c*", "?.p*", "[a-d].pth"])
def test_a_file_on_zenodo_by_name_or_pattern(tmp_path, job, network, server, record, name):
    saved(server.folder / "c.pth", network.state_dict())
    (server.folder / "readme.txt").write_text("weights")
    record()
    train.convert(row(f"zenodo://77/{name}"), RECIPE, tmp_path / "w.safetensors", job)
    assert answers(tmp_path / "w.safetensors", network, MEAN, STD)["source"] == f"zenodo://77/{name}"
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["zenodo-77-c.pth"]
    (server.folder / "c.pth").unlink()
    fetch.from_zenodo(f"zenodo://77/{name}", job)
    (server.folder / "records" / "77").unlink()
    fetch.from_zenodo("zenodo://77/c.pth", job)


@pytest.mark.parametrize(("name", "fits"), [("*.pth", 2), ("d*", 0), ("C.pth", 0)])
def test_a_pattern_must_fit_one_file(job, server, record, name, fits):
    for file in ("b.pth", "c.pth", "e.zip"):
        (server.folder / file).write_bytes(b"weights")
    record()
    with pytest.raises(ValueError) as told:
        fetch.from_zenodo(f"zenodo://77/{name}", job)
    assert str(told.value) == f"'{name}' fits {fits} names of record 77, not one; there are b.pth, c.pth, e.zip"


def test_a_name_goes_before_a_pattern(job, server, record):
    (server.folder / "c[1].pth").write_bytes(b"this")
    (server.folder / "c1.pth").write_bytes(b"other")
    record()
    assert fetch.from_zenodo("zenodo://77/c[1].pth", job).read_bytes() == b"this"


def test_a_file_with_another_md5_is_not_kept(tmp_path, job, server, record):
    (server.folder / "c.pth").write_bytes(b"weights")
    record(c="0" * 32)
    with pytest.raises(ValueError, match=r"c\.pth sent a file with MD5 [0-9a-f]{32} instead of 0{32}: try again, or "):
        fetch.from_zenodo("zenodo://77/c.pth", job)
    assert list((tmp_path / "downloads").iterdir()) == []


@pytest.mark.parametrize("answer", [None, "<html></html>", "[]", '{"files": [{"key": "c.pth"}]}', '{"id": 77}'])
def test_a_record_that_lists_no_files_is_told(job, server, record, answer):
    if answer:
        (server.folder / "records" / "77").write_text(answer)
    with pytest.raises(
        ConnectionError, match=r"records/77 does not list the files of the record \(.+\): download it by"
    ):
        fetch.from_zenodo("zenodo://77/c.pth", job)


@pytest.mark.parametrize("name", ["cifar10/eps1/resnet18.pt", "*eps1/*18.pt", "*../../evil.pt"])
def test_a_member_of_an_archive_on_zenodo(tmp_path, job, network, server, record, name):
    weights = saved(tmp_path / "c.pth", network.state_dict()).read_bytes()
    with zipfile.ZipFile(server.folder / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("cifar10/eps1/more18.pt")
        for member in ("cifar10/eps0/resnet18.pt", "cifar10/eps1/resnet18.pt", "../../../evil.pt"):
            archive.writestr(member, b"other" if "eps0" in member else weights)
    record()
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    train.convert(row(f"zenodo://77/all.zip/{name}"), RECIPE, tmp_path / "w.safetensors", job)
    answers(tmp_path / "w.safetensors", network, MEAN, STD)
    made = {path for path in tmp_path.rglob("*") if path.is_file()} - before - {tmp_path / "w.safetensors"}
    assert len(made) == 2 and {path.parent for path in made} == {tmp_path / "downloads"}
    (server.folder / "all.zip").unlink()
    assert fetch.from_zenodo(f"zenodo://77/all.zip/{name}", job).read_bytes() == weights


def test_a_member_that_is_not_there_is_told_with_those_that_are(job, server, record):
    with zipfile.ZipFile(server.folder / "all.zip", "w") as archive:
        for eps in (0, 1):
            archive.writestr(f"eps{eps}/c.pt", b"weights")
    record()
    with pytest.raises(
        ValueError, match=r"^'\*c\.pt' fits 2 names of .*zenodo-77-all\.zip, not one; there are eps0/c\.pt"
    ):
        fetch.from_zenodo("zenodo://77/all.zip/*c.pt", job)


def test_a_damaged_archive_is_told_and_leaves_no_member(tmp_path, job, server, record):
    path = server.folder / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("c.pt", b"weights")
    path.write_bytes(path.read_bytes().replace(b"weights", b"weighty"))
    (server.folder / "no.zip").write_bytes(b"weights")
    record()
    for name in ("all", "no"):
        with pytest.raises(ValueError, match=rf"zenodo-77-{name}\.zip cannot be unpacked as a zip archive: "):
            fetch.from_zenodo(f"zenodo://77/{name}.zip/c.pt", job)
    assert {path.name for path in (tmp_path / "downloads").iterdir()} == {"zenodo-77-all.zip", "zenodo-77-no.zip"}


# The published checkpoints of the light recipe

SHEET = schema.read_sheet(ROOT / "config" / "light_recipe.tsv", "models")
NUMBERS = schema.read_sheet(ROOT / "resources" / "published" / "light_recipe.tsv", "published")


def test_the_sheets_name_the_same_22_models():
    assert len(SHEET) == 22 and list(SHEET) == list(NUMBERS)
    assert len({found["source"] for found in SHEET.values()}) == 22
    for name, found in SHEET.items():
        assert name == f"{found['arch']}-{found['recipe']}-s{found['seed']}"
        assert found["eps"] in (4 / 255, 8 / 255) and found["threat"] == "linf" and found["format"] == "timm"
        assert (NUMBERS[name]["norm"], NUMBERS[name]["eps"]) == (found["threat"], found["eps"])
        assert 0 < NUMBERS[name]["autoattack"] < NUMBERS[name]["clean"] < 1


def test_numbers_of_the_first_and_last_model():
    first, last = (list(NUMBERS.values())[position] for position in (0, -1))
    assert (first["clean"], first["autoattack"]) == (0.7234, 0.4178)
    assert (last["clean"], last["autoattack"]) == (0.8138, 0.3449)


@pytest.mark.parametrize("arch", sorted({found["arch"] for found in SHEET.values()}))
def test_every_architecture_of_the_sheet_builds(arch):
    with torch.device("meta"):
        models.build(arch, 10, 32 if arch.endswith("_32") else 224)


@pytest.mark.parametrize(
    ("source", "known"),
    [
        ("https://example.org/download?id=a&export=b", True),
        ("hf://owner/repository/file", True),
        ("zenodo://13936007/*resnet18.pt", True),
        ("zenodo://13936007/all.zip/eps1/resnet18.pt", True),
        ("zenodo://record/resnet18.pt", False),
        ("zenodo://13936007/", False),
        ("zenodo://13936007", False),
        ("resources/c.pth", True),
        ("http://example.org/c.pth", False),
        ("https://example.org", False),
        ("ftp://example.org/c.pth", False),
    ],
)
def test_sources_that_the_schema_knows(source, known):
    value = {key: found for key, found in next(iter(SHEET.values())).items() if key != "format"} | {"source": source}
    if known:
        assert schema.check(value, "models", "here")["format"] == "madry"
    else:
        with pytest.raises(ValueError, match=r"^here: 'source' may only hold "):
            schema.check(value, "models", "here")
