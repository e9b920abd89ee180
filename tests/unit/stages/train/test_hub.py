"""Folders for Hugging Face: timm opens them and answers as the model does, and the card says what was measured."""

import json
import types

import pandas as pd
import pytest
import timm
import torch
import yaml
from timm.models._hub import load_model_config_from_path

from mettle import models, tables
from mettle.stages.train import hub

SAID = {
    "row": {"model": "mine-s0", "dataset": "d", "recipe": "robust", "seed": 0},
    "data": {"licence": "free", "names": ""},
    "expected": [{"images": "d", "clean": 0.9, "norm": "linf", "eps": 8 / 255, "autoattack": 0.5, "source": "there"}],
    "licence": "MIT",
    "reference": "A paper",
    "mirror": "",
}
DOUBT = "zero gradient for 100.0% of the images"
MEAN, STD = [0.5, 0.4, 0.3], [0.25, 0.2, 0.3]


@pytest.fixture
def job():
    said = []
    return types.SimpleNamespace(say=said.append, said=said, provenance={"rule": "hub"})


def weights(path, arch, size=32, **about):
    about = {"threat": "linf", "eps": 8 / 255, "resize": None, "interpolation": "bilinear", "recipe": "robust"} | about
    model = models.create(arch, 7, size, MEAN, STD, seed=1)
    known = {"arch": arch, "classes": 7, "size": size, "mean": MEAN, "std": STD, "model": "mine-s0", "dataset": "d"}
    models.save(path, model, known | about | {"seed": 0, "provenance": {"commit": "abc"}})
    return model.eval()


def cell(path, attack="aa", fooled=4, n=10, **more):
    row = {"dataset": "d", "split": "test", "model": "mine-s0", "attack": attack, "norm": "linf", "eps": 8 / 255}
    row |= {"label": 0, "clean_loss": 0.1, "loss": 1.0, "margin": 0.1, "distance": 0.01, "queries": 5, "note": None}
    row |= dict.fromkeys(("gradient_zero", "randomised", "probabilities"), False) | more
    rows = [row | {"id": i, "clean_prediction": int(i == 0), "prediction": int(i < fooled)} for i in range(n)]
    tables.write(path, tables.ATTACK, pd.DataFrame(rows))
    return path


@pytest.mark.parametrize(
    ("arch", "size", "resize"),
    [("resnet10t", 32, None), ("vit_tiny_patch16_224", 32, 40), ("convnext_atto", 64, [64, 64])],
)
def test_timm_opens_the_folder_and_answers_as_the_model_does(tmp_path, job, arch, size, resize):
    model = weights(tmp_path / "w.safetensors", arch, size, resize=resize, interpolation="bicubic")
    folder = tmp_path / "hub" / "mine-s0"
    hub.write(tmp_path / "w.safetensors", [], SAID, folder, job)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert not folder.with_name("mine-s0.part").exists()
    assert job.said[-1] == f"to upload it: hf upload OWNER/mine-s0 {folder}"
    cfg, name, _ = load_model_config_from_path(folder)
    assert name == arch and cfg["num_classes"] == 7 and cfg["input_size"] == (3, size, size)
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    config = timm.data.resolve_model_data_config(theirs)
    assert (list(config["mean"]), list(config["std"]), config["interpolation"]) == (MEAN, STD, "bicubic")
    assert config["crop_pct"] == (0.8 if resize == 40 else 1.0)
    assert config["crop_mode"] == ("squash" if isinstance(resize, list) else "center")
    images = torch.rand(3, 3, size, size)
    normal = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.inference_mode():
        torch.testing.assert_close(theirs(normal), model(images), rtol=1e-5, atol=1e-5)


def test_nothing_is_said_of_the_weights_that_timm_has_of_this_name(tmp_path, job):
    weights(tmp_path / "w.safetensors", "vit_tiny_patch16_224")
    hub.write(tmp_path / "w.safetensors", [], SAID | {"licence": "no licence stated"}, tmp_path / "hub", job)
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    assert config["pretrained_cfg"]["license"] == "other" and not config["pretrained_cfg"].get("tag")
    assert not {"url", "hf_hub_id", "origin_url", "paper_ids"} & config["pretrained_cfg"].keys()


def test_the_card_has_accuracies_with_intervals_and_what_to_know(tmp_path, job):
    weights(tmp_path / "w.safetensors", "resnet10t")
    cells = [cell(tmp_path / "a.parquet"), cell(tmp_path / "b.parquet", "pgd", fooled=2, gradient_zero=True)]
    hub.write(tmp_path / "w.safetensors", cells, SAID, tmp_path / "hub", job)
    text = (tmp_path / "hub" / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "license": "mit",
        "library_name": "timm",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "timm", "adversarial-robustness"],
    }
    part = body.partition("## Accuracy")[2].partition("## Use")[0]
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in part.split("\n") if line.startswith("| `d`")]
    assert rows == [  # Wilson intervals of 9, 6 and 8 of 10
        ["`d`, test", "none", "", "10", "0.9000", "0.5958 to 0.9821", ""],
        ["`d`, test", "`aa`", "Linf 8/255", "10", "0.6000", "0.3127 to 0.8318", ""],
        [
            "`d`, test",
            "`pgd`",
            "Linf 8/255",
            "10",
            "0.8000",
            "0.4902 to 0.9433",
            "zero gradient for 100.0% of the images",
        ],
    ]
    assert "trained here, seed 0, commit abc" in body and "`robust` of mettle" in body and "- weights: A paper" in body
    assert "AutoAttack, standard version" in body.partition("## Published accuracy")[2]
    assert 'timm.create_model("hf-hub:OWNER/mine-s0", pretrained=True)' in body


def test_a_card_without_accuracies_and_with_a_licence_that_is_not_known(tmp_path, job):
    weights(tmp_path / "w.safetensors", "resnet10t", eps=0, threat="none")
    hub.write(tmp_path / "w.safetensors", [], SAID | {"licence": "ask: me", "expected": []}, tmp_path / "hub", job)
    text = (tmp_path / "hub" / "README.md").read_text()
    head = yaml.safe_load(text.split("---\n")[1])
    assert (head["license"], head["license_name"]) == ("other", "ask: me") and len(head["tags"]) == 2
    assert "None was measured." in text and "Published" not in text


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("resnet8", r"^'resnet8' is not a network of timm: hand on .*w\.safetensors itself$"),
        ("resnet18_32", r"^timm (builds another network than|cannot build) 'resnet18_32' from its configuration: "),
    ],
)
def test_networks_that_timm_does_not_build_are_refused_and_an_earlier_folder_stays(tmp_path, job, arch, message):
    weights(tmp_path / "w.safetensors", arch)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "old").touch()
    with pytest.raises(ValueError, match=message):
        hub.write(tmp_path / "w.safetensors", [], SAID, tmp_path / "hub", job)
    assert (tmp_path / "hub" / "old").exists()
