"""Published formats: weights come out under the network's names, and nothing that is pickled runs."""

import argparse
import os

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mettle import schema
from mettle.models.published import FORMATS, read_bai, read_timm

XCIT = {"embed_dim": 32, "depth": 1, "cls_attn_layers": 1, "num_heads": 2, "num_classes": 5}
MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])


class Evil:
    """Makes a folder when it is unpickled the usual way."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.makedirs, (str(self.path),)


@pytest.fixture
def state():
    torch.manual_seed(0)
    return timm.create_model("xcit_nano_12_p16_224", **XCIT).state_dict()


def saved(path, whole):
    torch.save(whole, path)
    return path


def prefixed(state, prefix):
    return {f"{prefix}{key}": value for key, value in state.items()}


def same(found, state):
    assert list(found) == list(state)
    assert all(torch.equal(found[key], value) for key, value in state.items())


def test_formats_agree_with_the_schema():
    rules = schema.load("models")["properties"]["format"]
    assert set(rules["enum"]) == set(FORMATS) and rules["default"] == "madry"
    assert all(found.about for found in FORMATS.values())


@pytest.mark.parametrize("key", [None, "model", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_bare_or_under_its_key(tmp_path, state, key, prefix):
    whole = prefixed(state, prefix)
    whole = whole if key is None else {key: whole, "epoch": 99, "metrics": {"top1": 0.5}, "model_ema": None}
    same(read_timm(saved(tmp_path / "c.pth", whole)), state)


def test_safetensors_whatever_their_name(tmp_path, state):
    save_file(state, tmp_path / "download.pth")
    found = read_timm(tmp_path / "download.pth")
    assert found.keys() == state.keys() and all(torch.equal(found[key], value) for key, value in state.items())
    (tmp_path / "half.pth").write_bytes((tmp_path / "download.pth").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"half\.pth is not a whole checkpoint"):
        read_timm(tmp_path / "half.pth")


@pytest.mark.parametrize("names", [("0.", "1."), ("normalize.", "model."), ("normalizer.", "model.")])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_network_behind_its_normaliser(tmp_path, state, names, prefix):
    whole = {f"{names[0]}mean": MEAN.view(1, 3, 1, 1), f"{names[0]}std": STD.view(1, 3, 1, 1)} | prefixed(
        state, names[1]
    )
    found = read_timm(saved(tmp_path / "c.pth", {"state_dict": prefixed(whole, prefix)}))
    assert torch.equal(found.pop("mean"), MEAN) and torch.equal(found.pop("std"), STD)
    same(found, state)


@pytest.mark.parametrize("prefix", ["1.", "model."])
def test_a_normaliser_without_buffers_leaves_the_network(tmp_path, state, prefix):
    same(read_timm(saved(tmp_path / "c.pth", prefixed(state, prefix))), state)


def test_a_malicious_pickle_is_refused_unrun(tmp_path, state):
    path = saved(tmp_path / "c.pth", {"state_dict": state, "more": Evil(tmp_path / "evil")})
    with pytest.raises(ValueError, match=r"c\.pth cannot be read safely as a checkpoint: Weights only load failed"):
        read_timm(path)
    assert not (tmp_path / "evil").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "evil").exists(), "the pickle of this test is harmless, so it tests nothing"


def test_objects_of_other_programs_are_refused(tmp_path, state):
    path = saved(tmp_path / "c.pth", {"model": state, "hparams": argparse.Namespace(lr=1)})
    with pytest.raises(ValueError, match=r"c\.pth cannot be read safely as a checkpoint: "):
        read_timm(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"<!DOCTYPE html><html></html>", b"PK\x03\x04" * 9])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "c.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"c\.pth (is not a whole|cannot be read safely as a) checkpoint: ."):
        read_timm(path)


def test_a_truncated_checkpoint_is_refused(tmp_path, state):
    whole = saved(tmp_path / "c.pth", state).read_bytes()
    for share in (0.01, 0.5, 0.99):
        (tmp_path / "cut.pth").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"cut\.pth (is not a whole|cannot be read safely as a) checkpoint: ."):
            read_timm(tmp_path / "cut.pth")


@pytest.mark.parametrize("whole", [{}, [1], torch.ones(2), {"model": {"a": 1}}, {"epoch": 3}])
def test_another_object_is_refused(tmp_path, whole):
    with pytest.raises(ValueError, match=r"is not in timm format: no tensors by name, under `model`, or under `state_"):
        read_timm(saved(tmp_path / "c.pth", whole))


# Bai et al. 2021: eight ghost batch normalisations and an affine map, written here as the paper's network has them


class Ghost(nn.Module):
    """Statistics of two halves of a batch as different channels; the first half's in evaluation mode."""

    def __init__(self, channels):
        super().__init__()
        self.proxy_bn = nn.BatchNorm2d(2 * channels, affine=False)

    def forward(self, x):
        if self.training:
            n, c, h, w = x.shape
            return self.proxy_bn(x.reshape(n // 2, 2 * c, h, w)).reshape(n, c, h, w)
        mean, var = (value[: x.shape[1]] for value in (self.proxy_bn.running_mean, self.proxy_bn.running_var))
        return nn.functional.batch_norm(x, mean, var)


class Affine(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bnconv = nn.Conv2d(channels, channels, 1, groups=channels)

    def forward(self, x):
        return self.bnconv(x)


class Eight(nn.Module):
    def __init__(self, channels):
        super().__init__()
        for which in range(8):
            setattr(self, f"bn{which}", Ghost(channels))
        self.aff = Affine(channels)

    def forward(self, x):
        return self.aff(self.bn0(x))


def test_eight_ghost_normalisations_are_one_at_test_time(tmp_path):
    torch.manual_seed(0)
    shape = {"channels": (8, 8, 8, 8), "num_classes": 5}
    theirs = timm.create_model("resnet18", act_layer="gelu", **shape)
    for name, module in list(theirs.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            theirs.set_submodule(name, Eight(module.num_features))
    x = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        theirs.train()(x)  # statistics that are not those of a new network, and differ between the halves
    ours = timm.create_model("resnet18", act_layer="gelu", **shape)
    path = saved(tmp_path / "c.pth", {"state_dict": prefixed(theirs.state_dict(), "module.")})
    ours.load_state_dict(read_bai(path))
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-4, atol=1e-5)
