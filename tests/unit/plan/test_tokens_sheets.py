"""The sheet of frozen backbones for robustness tokens: addresses and preprocessing are those of their own metadata."""

import math

import pytest
import timm

from imports import ROOT
from mettle import schema
from mettle.plan import Plan, names, overlay, sources

PATH = ROOT / "config" / "models" / "tokens_backbones.tsv"
ROWS = schema.read_sheet(PATH, "models")
DINOV2 = {name: row for name, row in ROWS.items() if name.startswith("dinov2")}
TIMM = {name: row for name, row in ROWS.items() if name not in DINOV2}
SIZES = dict(zip("sblg", ("small", "base", "large", "giant"), strict=True))


def test_backbones_of_all_families_are_there():
    counts = {family: sum(name.startswith(family) for name in ROWS) for family in ("dinov2", "deit3", "openclip")}
    assert counts == {"dinov2": 8, "deit3": 4, "openclip": 4}
    assert {name.partition("_")[0] for name in ROWS} == {*counts, "dinov3", "siglip2"}


@pytest.mark.parametrize("name", ROWS)
def test_a_backbone_is_a_published_network_that_is_known(name):
    row = ROWS[name]
    assert row["arch"] in names.known_architectures()
    assert (row["dataset"], row["apart"], row["threat"], row["eps"]) == ("imagenet", "yes", "none", 0)
    assert "arXiv:" in row["reference"] and row["label"]
    assert sources.parse(row["source"], name).scheme == ("https" if name in DINOV2 else "hf")


@pytest.mark.parametrize("name", DINOV2)
def test_dinov2_is_from_the_authors(name):
    row = DINOV2[name]
    assert row["arch"] == name and row["format"] == "dinov2"
    registers = "reg4_" if name.endswith("_reg") else ""
    card = timm.get_pretrained_cfg(f"vit_{SIZES[name[len('dinov2_vit')]]}_patch14_{registers}dinov2.lvd142m")
    assert row["source"] == card.url
    assert (row["size"], row["resize"], row["interpolation"]) == (224, 256, "bicubic")
    assert (tuple(row["mean"]), tuple(row["std"])) == (card.mean, card.std)


@pytest.mark.parametrize("name", TIMM)
def test_the_others_are_as_timm_says(name):
    row = TIMM[name]
    owner, repository, file = row["source"].removeprefix("hf://").split("/")
    assert (owner, file, row["format"]) == ("timm", "model.safetensors", "timm")
    assert repository.partition(".")[0] == row["arch"]
    card = timm.get_pretrained_cfg(repository)
    assert card.hf_hub_id == f"timm/{repository}" and card.hf_hub_filename is None and card.crop_mode == "center"
    assert card.input_size == (3, row["size"], row["size"]) and row["interpolation"] == card.interpolation
    assert row["resize"] == math.floor(row["size"] / card.crop_pct)
    assert (tuple(row["mean"]), tuple(row["std"])) == (card.mean, card.std)


def test_a_plan_takes_the_sheet(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = overlay.laid(["config/config.yaml", "config/paper.yaml"])
    plan = Plan(config)
    assert ROWS.keys() <= set(plan.converted) and {plan.task_of(name) for name in ROWS} == {"features"}
    assert len(plan.converted_tokens) == 14 and len(plan.hardened) == 16 + 16
