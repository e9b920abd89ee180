"""The card of a model, and what the weights' metadata say of source, licence and published accuracy."""

import json
import types

import pytest
import torch

from imports import ROOT
from mettle import models, schema
from mettle.files import atomic
from mettle.models import weights
from mettle.plan import Plan
from mettle.stages import train
from mettle.stages.train import card

LIGHT = "xcit_small_12_p4_32-light_cifar10_erasing20-s0"
README = "github.com/dedeswim/vits-robustness-torch, README"
DRIVE_ONLY = "resnet50_32-light_cifar10-s0"
INPUT = {"size": 32, "resize": None, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.25] * 3}
ABOUT = {"model": "resnet8-r-s0", "dataset": "digits", "arch": "resnet8", "recipe": "r", "classes": 10, "seed": 0}
ABOUT |= {"threat": "linf", "eps": 8 / 255} | INPUT
SAID = {"mirror": "", "licence": "", "reference": "", "expected": []}
SAID |= {"row": {"model": "m"}, "data": {"licence": "CC BY 4.0", "names": ""}}


@pytest.fixture(scope="module")
def plan():
    config = schema.read_yaml(ROOT / "config" / "config.yaml")
    return Plan(config | {"models": ["config/models/demo.tsv", "config/models/light_recipe.tsv"]})


@pytest.fixture
def job():
    return types.SimpleNamespace(provenance={"rule": "convert"}, say=lambda text: None)


def saved(path, about=ABOUT):
    models.save(path, models.create("resnet8", 10, 32, [0.5] * 3, [0.25] * 3, seed=0), about)
    return path


def written(tmp_path, about=ABOUT, said=SAID):
    card.write(saved(tmp_path / "w.safetensors", about), said, tmp_path / "card.md")
    return (tmp_path / "card.md").read_text()


def test_the_plan_knows_what_is_said_of_a_published_model(plan):
    said = plan.said({"model": LIGHT})
    assert (said["licence"], said["reference"]) == ("MIT", "Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399)")
    assert said["mirror"].startswith("https://drive.usercontent.google.com/")
    (numbers,) = said["expected"]
    assert (numbers["clean"], numbers["autoattack"], numbers["images"]) == (0.9006, 0.5614, "cifar10")
    assert plan.said({"model": DRIVE_ONLY})["licence"] == "no licence stated"
    assert plan.said({"model": "resnet8-digits_eps0-s0"}) == {
        "mirror": "",
        "licence": "",
        "reference": "",
        "expected": [],
    }


def test_conversion_keeps_what_is_said_in_the_metadata(tmp_path, job, plan):
    torch.manual_seed(0)
    path = tmp_path / "c.pth"
    torch.save(models.build("resnet8", 10, 32).state_dict(), path)
    row = ABOUT | {"source": str(path), "format": ""}
    said = plan.said({"model": LIGHT})
    train.convert(row, {"input": INPUT}, tmp_path / "w.safetensors", job, said=said)
    about = weights.described(tmp_path / "w.safetensors")
    assert {key: about[key] for key in said} == said and about["source"] == str(path) and len(about["sha256"]) == 64


def test_another_licence_leaves_weights_that_are_there(tmp_path):
    path = saved(tmp_path / "w.safetensors", ABOUT | {"licence": "none"})
    before = path.read_bytes()
    saved(path, ABOUT | {"licence": "MIT", "expected": [{"clean": 0.5}]})
    assert path.read_bytes() == before
    saved(path, ABOUT | {"eps": 0.1})
    assert path.read_bytes() != before


def test_metadata_are_read_without_the_tensors(tmp_path):
    path = saved(tmp_path / "w.safetensors")
    assert weights.described(path) == weights.read(path)[1]
    with atomic(tmp_path / "bad.safetensors") as tmp:
        tmp.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"bad\.safetensors cannot be read as safetensors"):
        weights.described(tmp_path / "bad.safetensors")


def test_the_card_of_a_published_model(tmp_path, plan):
    about = ABOUT | {"source": "https://host/c.pth", "sha256": "a" * 64, "licence": "outdated"}
    text = written(tmp_path, about, plan.card({"model": LIGHT}))
    for line in (
        "# resnet8-r-s0",
        "`resnet8`, 10 classes of `digits`, trained against Linf 8/255.",
        "| licence of the weights | MIT |",
        "| source | https://host/c.pth |",
        f"| SHA-256 of the source | `{'a' * 64}` |",
        "| input | RGB in [0, 1], 32x32 px; normalised inside the model |",
        "| mean, std | 0.5, 0.5, 0.5; 0.25, 0.25, 0.25 |",
        f"| `cifar10` | none |  | 0.9006 | {README} |",
        f"| `cifar10` | AutoAttack, standard version | Linf 8/255 | 0.5614 | {README} |",
        "- weights: Debenedetti, Sehwag & Mittal 2023 (arXiv:2209.07399)",
        "- architecture: He et al. 2016, arXiv:1512.03385",
    ):
        assert line in text.splitlines(), line
    assert "| second address | https://drive.usercontent" in text and "outdated" not in text


def test_the_card_of_a_model_trained_here(tmp_path):
    about = ABOUT | {"threat": "none", "eps": 0.0, "class_names": list("0123456789"), "resize": 40}
    text = written(tmp_path, about | {"provenance": {"commit": "abc"}})
    assert "| source | trained here, seed 0, commit abc |" in text and "SHA-256 of the source" not in text
    assert "| classes | 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 |" in text and "trained against no attack." in text
    assert "| resized | shorter side to 40 px, bilinear, centre crop |" in text
    assert "| licence of the weights | not stated |" in text and "None is known." in text
    assert "| data | `digits`; licence: CC BY 4.0 |" in text


def test_the_use_that_a_card_shows_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "workflow" / "scripts")
    code = written(tmp_path).split("```python\n")[1].split("```")[0]
    space = {"images": torch.rand(2, 3, 32, 32)}
    exec(code, space)
    assert space["logits"].shape == (2, 10)


def test_a_row_says_what_weights_by_hand_do_not(tmp_path):
    bare = {key: value for key, value in ABOUT.items() if key in (*weights.REQUIRED, "arch")}
    row = {"model": "mine-r-s3", "dataset": "digits", "recipe": "r", "seed": 3}
    assert written(tmp_path, bare, SAID | {"row": row}).startswith("# mine-r-s3\n")


def test_published_numbers_of_every_kind_are_on_the_card(tmp_path):
    ball = {"norm": "linf", "eps": 8 / 255, "images": "cifar10", "clean": 0.9, "source": "there"}
    numbers = [ball | {"autoattack": 0.5, "best": 0.4}, ball | {"autoattack": 0.3, "best": 0.3}]
    numbers += [{"images": "cifar10", "clean": 0.8, "corruptions": 0.7, "source": "there"}]
    text = written(tmp_path, said=SAID | {"expected": numbers})
    part = text.partition("## Published accuracy")[2].partition("##")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")][1:4] for line in part.split("\n") if "there" in line]
    assert rows == [
        ["none", "", "0.9000"],
        ["AutoAttack, standard version", "Linf 8/255", "0.5000"],
        ["the strongest known", "Linf 8/255", "0.4000"],
        ["none", "", "0.9000"],
        ["AutoAttack, standard version", "Linf 8/255", "0.3000"],
        ["none", "", "0.8000"],
        ["common corruptions, mean", "", "0.7000"],
    ]


def test_published_sheets_of_ones_own(plan, tmp_path):
    sheet = tmp_path / "mine.tsv"
    head = "model\tnorm\teps\timages\tclean\tautoattack\tsource\n"
    sheet.write_text(f"{head}resnet8-digits_eps0-s0\tlinf\t8/255\tdigits\t0.9\t0.1\tme\n")
    (numbers,) = Plan(plan.config | {"expected": [str(sheet)]}).said({"model": "resnet8-digits_eps0-s0"})["expected"]
    assert numbers == {
        "norm": "linf",
        "eps": 8 / 255,
        "images": "digits",
        "clean": 0.9,
        "autoattack": 0.1,
        "source": "me",
    }
    assert json.loads(json.dumps(numbers)) == numbers
