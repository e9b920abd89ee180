"""Published tokens, and tokens as registers of DINOv2's authors: round trips, and files that do not fit."""

import pytest
import torch
import yaml
from token_trainings import Job, recipe, row

from mettle import models
from mettle.models import dinov2, dinov2_names
from mettle.stages.tokens.convert import convert, registers


def values(n=4, width=128, seed=3):
    return torch.randn(1, n, width, generator=torch.Generator().manual_seed(seed))


def published(path, content):
    torch.save(content, path)
    return row(source=str(path), sha256=None)


def test_a_released_file_becomes_tokens_of_the_base(tmp_path, trained):
    told = published(tmp_path / "t.pt", {"rtokens": torch.nn.Parameter(values())})
    target = trained.parents[1] / "released" / "weights.safetensors"
    target.parent.mkdir()
    convert(told, recipe(), trained, target, Job(), said={"licence": "MIT"})
    model, about = models.load(target)
    assert torch.equal(model.network.robustness.tokens, values())
    assert (about["source"], about["licence"], about["n"]) == (told["source"], "MIT", 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rtokens": values(5)}, r"holds 5 tokens, the recipe says n 4: correct it$"),
        ({"register_tokens": values(3)}, r"holds 3 tokens, the recipe says n 4: correct it$"),
        ({"rtokens": values(width=64)}, r"tokens of width 64 do not fit VisionTransformer of width 128$"),
        ({"weight": values()}, r"holds no robustness tokens, under `rtokens` or at the end of `register_tokens`$"),
        ({"rtokens": values()[0]}, r"holds no robustness tokens, under `rtokens`"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, trained, content, message):
    told = published(tmp_path / "t.pt", content)
    with pytest.raises(ValueError, match=r"t\.pt: " + message):
        convert(told, recipe(), trained, tmp_path / "w.safetensors", Job())


# DINOv2, small: its registers are the tokens.


@pytest.fixture(params=[False, True], ids=["plain", "with registers"])
def dino(request, tmp_path, monkeypatch):
    """Weights of a small DINOv2 under a name of its authors, without and with four registers."""
    monkeypatch.setitem(dinov2.SHAPES, "s", {"embed_dim": 384, "depth": 2, "num_heads": 6})
    arch = "dinov2_vits14" + "_reg" * request.param
    about = {"arch": arch, "classes": 0, "size": 28, "resize": 28, "interpolation": "bicubic", "task": "features"}
    about |= {"mean": [0.5] * 3, "std": [0.25] * 3, "threat": "none", "eps": 0.0, "dataset": "imagenet"}
    model = models.create(arch, 0, 28, about["mean"], about["std"], seed=0)
    path = tmp_path / "train" / "plain" / "weights.safetensors"
    path.parent.mkdir(parents=True)
    models.save(path, model, about)
    return path, request.param


def test_tokens_become_registers_with_the_same_features_and_come_back(tmp_path, dino):
    base, has_registers = dino
    told = published(tmp_path / "t.pt", {"rtokens": values(width=384)})
    target = base.parents[1] / "hard" / "weights.safetensors"
    target.parent.mkdir()
    convert(told, recipe(), base, target, Job())
    registers(target, tmp_path / "dinov2.pth", tmp_path / "dinov2.yaml")
    state = torch.load(tmp_path / "dinov2.pth", weights_only=True)
    config = yaml.safe_load((tmp_path / "dinov2.yaml").read_text())
    n = 8 if has_registers else 4
    assert state["register_tokens"].shape == (1, n, 384) and config["num_register_tokens"] == n
    assert (config["arch"], config["ffn_layer"]) == ("vit_small", "mlp")
    flags = (config["interpolate_antialias"], config["interpolate_offset"])
    assert flags == ((True, 0.0) if has_registers else (False, 0.1))
    # A network that has so many registers and interpolates as the base does gives the same features.
    shape = {"embed_dim": 384, "depth": 2, "num_heads": 6, "num_classes": 0}
    other = dinov2.Dinov2(antialias=flags[0], reg_tokens=n, **shape).eval()
    other.load_state_dict(dinov2_names.to_timm(state))
    hardened = models.load(target)[0]
    images = torch.rand(2, 3, 28, 42, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        normalised = (images - 0.5) / 0.25
        expected = hardened.network.forward_features(normalised)
        found = other.forward_features(normalised)
        torch.testing.assert_close(found[:, 0], expected[:, 0], rtol=0, atol=1e-5)
        k = hardened.network.num_prefix_tokens
        torch.testing.assert_close(found[:, 1 + n :], expected[:, k:], rtol=0, atol=1e-5)
    # And back: the last registers of the file are the tokens.
    again = published(tmp_path / "dinov2.pth", state)
    convert(again, recipe(), base, tmp_path / "again.safetensors", Job())
    assert torch.equal(models.weights.read(tmp_path / "again.safetensors")[0]["tokens"], values(width=384))


def test_only_tokens_of_dinov2_become_registers(tmp_path, trained):
    with pytest.raises(
        ValueError, match=r"plain/weights\.safetensors: has no robustness tokens, so there is nothing to mak"
    ):
        registers(trained, tmp_path / "d.pth", tmp_path / "d.yaml")
    told = published(tmp_path / "t.pt", {"rtokens": values()})
    target = trained.parents[1] / "mini" / "weights.safetensors"
    target.parent.mkdir()
    convert(told, recipe(), trained, target, Job())
    with pytest.raises(
        ValueError, match=r"is of architecture 'vit_mini', but only DINOv2's networks have this format$"
    ):
        registers(target, tmp_path / "d.pth", tmp_path / "d.yaml")
    assert not (tmp_path / "d.pth").exists()
