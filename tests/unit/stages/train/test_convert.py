"""The rule convert on checkpoints in timm format: sources, normalisation; and the sheet of published ones."""

import hashlib
import types
import zipfile

import pytest
import timm
import torch
from torch import nn

from imports import ROOT
from mettle import models, schema
from mettle.plan import sources
from mettle.plan.recipes import Recipes
from mettle.stages import train

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
    assert not any("sha256" in text for text in job.said)
    with pytest.raises(ValueError, match=r"c\.pth has SHA-256 [0-9a-f]{64}, the row says 0{64}: download it again"):
        train.convert(row(path, sha256="0" * 64), RECIPE, tmp_path / "other.safetensors", job)


def test_a_normaliser_in_the_file_goes_before_the_recipes(tmp_path, job, network):
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    whole = {"0.mean": torch.tensor(mean).view(1, 3, 1, 1), "0.std": torch.tensor(std).view(1, 3, 1, 1)}
    whole |= {f"1.{key}": value for key, value in network.state_dict().items()}
    train.convert(row(saved(tmp_path / "c.pth", {"state_dict": whole})), RECIPE, tmp_path / "w.safetensors", job)
    about = answers(tmp_path / "w.safetensors", network, mean, std)
    assert about["mean"] == pytest.approx(mean) and about["std"] == pytest.approx(std)


def test_an_empty_format_is_looked_up_and_the_log_says_what_was_taken(tmp_path, job, network):
    averaged = {f"module.{key}": value for key, value in network.state_dict().items()}
    whole = {"state_dict": timm.create_model("lcnet_050", num_classes=5).state_dict(), "state_dict_ema": averaged}
    train.convert(row(saved(tmp_path / "c.pth", whole), format=""), RECIPE, tmp_path / "w.safetensors", job)
    answers(tmp_path / "w.safetensors", network, MEAN, STD)
    told = "takes `state_dict_ema`; names behind `module.`; leaves out `state_dict`; mean and std of the recipe or row"
    assert job.said[-1] == f"{told}: mean 0.4, 0.5, 0.6, std 0.2, 0.25, 0.3"


def test_what_of_the_recipe_is_no_preprocessing_does_not_count(tmp_path, job, network):
    path, digests = saved(tmp_path / "c.pth", network.state_dict()), []
    for other in ({}, {"epochs": 9, "loss": "trades"}, {"input": RECIPE["input"] | {"resize": 72}}):
        train.convert(row(path), RECIPE | other, tmp_path / "w.safetensors", job)
        digests.append(models.load(tmp_path / "w.safetensors")[1]["recipe_sha256"])
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("place", ["checkpoint", "recipe"])
def test_a_normaliser_of_0_to_255_is_refused(tmp_path, job, network, place):
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    state, recipe = network.state_dict(), RECIPE
    if place == "checkpoint":
        state = {"0.mean": torch.tensor(mean), "0.std": torch.tensor(std)} | {f"1.{k}": v for k, v in state.items()}
    else:
        recipe = {"input": RECIPE["input"] | {"mean": mean, "std": std}}
    told = r"mean 123\.675, 116\.28, 103\.53 and standard deviation 58\.395, 57\.12, 57\.375, but pixels here are in "
    who = {"checkpoint": r"c\.pth: the normaliser `0\.mean` and `0\.std` has ", "recipe": r"^recipe 'r': input has "}
    with pytest.raises(ValueError, match=f"{who[place]}{told}.*divide both by 255$"):
        train.convert(row(saved(tmp_path / "c.pth", state)), recipe, tmp_path / "w.safetensors", job)
    assert not (tmp_path / "w.safetensors").exists()


class Own(nn.Module):
    """A network of a user: it flattens by `view`, normalises by itself, and its head is registered first."""

    def __init__(self, scale=1):
        super().__init__()
        self.fc, self.conv, self.scale = nn.Linear(4 * 30 * 30, 5), nn.Conv2d(3, 4, 3), scale
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))
        self.register_buffer("std", torch.full((1, 3, 1, 1), 0.25))

    def forward(self, x):
        x = self.conv((x - self.mean) / self.std).relu()
        return self.scale * self.fc(x.view(x.size(0), -1))


IDENTITY = {"size": 32, "mean": [0.0] * 3, "std": [1.0] * 3}


def test_a_network_of_a_user(tmp_path, job, monkeypatch):
    monkeypatch.setitem(models.ARCHITECTURES, "own", models.Architecture(lambda classes, size: Own(), "", ""))
    torch.manual_seed(0)
    theirs = Own()
    asked, recipe = (
        row(saved(tmp_path / "c.pth", theirs.state_dict()), arch="own", format=""),
        {"input": RECIPE["input"]},
    )
    told = r"^recipe 'r': the network normalises by itself \(`mean`\): set its mean to 0, 0, 0 and its std to 1, 1, 1$"
    with pytest.raises(ValueError, match=told):
        train.convert(asked, {"input": recipe["input"] | {"size": 32}}, tmp_path / "w.safetensors", job)
    train.convert(asked, {"input": recipe["input"] | IDENTITY}, tmp_path / "w.safetensors", job)
    model, _ = models.load(tmp_path / "w.safetensors")
    x = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        logits, features = model.both(x)
        assert torch.equal(logits, theirs(x)) and features.shape == (3, 3600)


@pytest.mark.parametrize("what", ["converted", "loaded"])
def test_a_network_whose_features_do_not_give_its_logits_is_refused(tmp_path, job, monkeypatch, what):
    asked = row(saved(tmp_path / "c.pth", Own().state_dict()), arch="own")
    scale = [1 if what == "loaded" else 2]
    made = models.Architecture(lambda classes, size: Own(scale[0]), "", "")
    monkeypatch.setitem(models.ARCHITECTURES, "own", made)
    where = {"converted": "architecture 'own'", "loaded": r".*w\.safetensors"}[what]
    with pytest.raises(
        ValueError, match=rf"^{where}: the logits of Own are not what its last linear layer \(fc\) makes"
    ):
        train.convert(asked, {"input": RECIPE["input"] | IDENTITY}, tmp_path / "w.safetensors", job)
        scale[0] = 2
        models.load(tmp_path / "w.safetensors")


def test_a_checkpoint_of_other_classes_is_refused(tmp_path, job, network):
    path = saved(tmp_path / "c.pth", network.state_dict())
    with pytest.raises(ValueError, match=r"classifier\.weight has shape \(5, 1280\), expected \(6, 1280\)"):
        train.convert(row(path, classes=6), RECIPE, tmp_path / "w.safetensors", job)


@pytest.mark.parametrize("name", ["cifar10/eps1/resnet18.pt", "*eps1/*18.pt"])
def test_a_member_of_an_archive(tmp_path, job, network, name):
    weights = saved(tmp_path / "c.pth", network.state_dict()).read_bytes()
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cifar10/eps0/resnet18.pt", b"other")
        archive.writestr("cifar10/eps1/resnet18.pt", weights)
    before = set(tmp_path.rglob("*"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    train.convert(row(f"{path}#{name}", sha256=digest), RECIPE, tmp_path / "w.safetensors", job)
    about = answers(tmp_path / "w.safetensors", network, MEAN, STD)
    assert (about["source"], about["sha256"]) == (f"{path}#{name}", digest)
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "w.safetensors"}


def test_a_download_is_read_where_the_rule_download_put_it(tmp_path, job, network, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = "https://example.org/c.pth?id=1"
    with pytest.raises(
        FileNotFoundError, match=r"^resources/downloads/[0-9a-f]{12}-c\.pth does not exist: fill column"
    ):
        train.convert(row(source), RECIPE, tmp_path / "w.safetensors", job)
    sources.DOWNLOADS.mkdir(parents=True)
    saved(sources.parse(source, "here").path, network.state_dict())
    train.convert(row(source), RECIPE, tmp_path / "w.safetensors", job)
    assert answers(tmp_path / "w.safetensors", network, MEAN, STD)["source"] == source


# The published checkpoints of the light recipe

SHEET = schema.read_sheet(ROOT / "config" / "models" / "light_recipe.tsv", "models")
NUMBERS = schema.read_sheet(ROOT / "resources" / "published" / "light_recipe.tsv", "published")


def test_the_sheets_name_the_same_22_models():
    assert len(SHEET) == 22 and list(SHEET) == list(NUMBERS)
    assert len({found["source"] for found in SHEET.values()}) == 22
    recipes = Recipes(ROOT / "config" / "recipes")
    for name, found in SHEET.items():
        ball = recipes.get(found["recipe"], trains=False)["attack"]
        assert ball["eps"] in (4 / 255, 8 / 255) and ball["norm"] == "linf" and found["format"] == "timm"
        assert (NUMBERS[name]["norm"], NUMBERS[name]["eps"]) == (ball["norm"], ball["eps"])
        assert 0 < NUMBERS[name]["autoattack"] < NUMBERS[name]["clean"] < 1


def test_robustbench_hosts_the_nine_xcit_of_its_leaderboard():
    release = "https://github.com/RobustBench/robustbench/releases/download/v1.1/debenedetti2022light-xcit"
    hosted = {name: found for name, found in SHEET.items() if "github.com" in found["source"]}
    files = {f"{release}-{size}-{data}-linf.pth.tar" for size in "sml" for data in ("imagenet", "cifar10", "cifar100")}
    assert {found["source"] for found in hosted.values()} == files
    for name, found in SHEET.items():
        drive = found["mirror"] if name in hosted else found["source"]
        assert drive.startswith("https://drive.usercontent.google.com/download?id=")
        assert (
            found["licence"] == ("MIT" if name in hosted else "no licence stated")
            and "2209.07399" in found["reference"]
        )
        assert name not in hosted or found["arch"].split("_")[1][0] == found["source"].removeprefix(f"{release}-")[0]
        assert name not in hosted or f"-{found['dataset']}-" in found["source"]
        assert name not in hosted or (found["dataset"] == "imagenet") == (NUMBERS[name]["eps"] == 4 / 255)


def test_numbers_of_the_first_and_last_model():
    first, last = (list(NUMBERS.values())[position] for position in (0, -1))
    assert (first["clean"], first["autoattack"]) == (0.7234, 0.4178)
    assert (last["clean"], last["autoattack"]) == (0.8138, 0.3449)


@pytest.mark.parametrize("arch", sorted({found["arch"] for found in SHEET.values()}))
def test_every_architecture_of_the_sheet_builds(arch):
    with torch.device("meta"):
        models.build(arch, 10, 32 if arch.endswith("_32") else 224)
