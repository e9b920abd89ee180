"""The rule convert on checkpoints in timm format: sources, normalisation; and the sheet of published ones."""

import hashlib
import http.server
import threading
import types
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
