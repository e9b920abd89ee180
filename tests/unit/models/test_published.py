"""Published checkpoints: whatever is around the weights, they come out, or the file is refused; nothing in it runs."""

import argparse
import copy
import os
from collections import OrderedDict

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mettle import schema
from mettle.models.published import FORMATS, read

MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])


class Evil:
    """Makes a folder when it is unpickled the usual way."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.makedirs, (str(self.path),)


class Net(nn.Module):
    """Small, with a normalisation and a head."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


def net(seed=0):
    torch.manual_seed(seed)
    made = Net()
    with torch.no_grad():
        made(torch.rand(2, 3, 8, 8))
    return made.eval()


def state(seed=0):
    return net(seed).state_dict()


def saved(path, whole):
    torch.save(whole, path)
    return path


def prefixed(values, prefix):
    return {f"{prefix}{key}": value for key, value in values.items()}


def same(found, values):
    assert set(found.state) == set(values)
    assert all(torch.equal(found.state[key], value) for key, value in values.items())


def test_formats_agree_with_the_schema():
    rules = schema.load("models")["properties"]["format"]
    assert set(rules["enum"]) == {"", *FORMATS} and rules["default"] == ""
    assert all(found.about for found in FORMATS.values())


# Layouts met in the wild: what is in the file, and where the log says that the weights were. SGD as optimiser, with its
# state; `OTHER` are weights that must not be taken.

OTHER = state(1)


def trained():
    """State of an optimiser after a step."""
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


def compiled(values):
    return prefixed(values, "_orig_mod.")


LAYOUTS = {
    "a bare state": (lambda s: s, "what the file holds"),
    "a state among plain values": (lambda s: s | {"epoch": 3, "arch": "net"}, "what the file holds"),
    "safetensors of timm": (lambda s: OrderedDict(s), "what the file holds"),
    **{
        f"under `{key}`, as many have it": (
            lambda s, key=key: {key: s, "epoch": 3, "optimizer": trained(), "args": argparse.Namespace(lr=1)},
            f"`{key}`",
        )
        for key in (
            "model",
            "state_dict",
            "model_state_dict",
            "net",
            "network",
            "weights",
            "params",
            "model_ema",
            "ema",
        )
    },
    "timm's training, averaged": (
        lambda s: {"state_dict": OTHER, "state_dict_ema": s, "arch": "net"},
        "`state_dict_ema`",
    ),
    "averaged by DeiT and ConvNeXt": (
        lambda s: {"model": OTHER, "model_ema": s, "optimizer": trained()},
        "`model_ema`",
    ),
    "averaged, with the average's own data": (
        lambda s: {"model": OTHER, "ema": {"decay": 0.99, "module": s}},
        "`ema.module`",
    ),
    "no average though there is a key for it": (lambda s: {"model": s, "model_ema": None}, "`model`"),
    "a model beside another one": (
        lambda s: {"model": s, "discriminator": {"conv.weight": torch.ones(2, 2)}},
        "`model`",
    ),
    "one of two sets has the network": (lambda s: {"a": s, "b": {"conv.weight": torch.ones(2, 2)}}, "`a`"),
    "a set in a set": (lambda s: {"state": {"weights": s}, "step": torch.tensor(3)}, "`state.weights`"),
    "a table beside the model": (lambda s: {"model": s, "grid": torch.ones(3, 3)}, "`model`"),
    "data-parallel training": (lambda s: prefixed(s, "module."), "what the file holds; names behind `module.`"),
    "torch.compile": (compiled, "what the file holds"),
    "compiled, then data-parallel": (lambda s: prefixed(compiled(s), "module."), "names behind `module.`"),
    "data-parallel, then compiled": (lambda s: compiled(prefixed(s, "module.")), "names behind `module.`"),
    "data-parallel twice": (lambda s: prefixed(s, "module.module."), "names behind `module.module.`"),
    "a part that is data-parallel": (
        lambda s: {key.replace("features.", "features.module."): value for key, value in s.items()},
        "what the file holds",
    ),
    "a part that is compiled": (
        lambda s: {key.replace("features.", "features._orig_mod."): value for key, value in s.items()},
        "what the file holds",
    ),
    "fully sharded": (lambda s: prefixed(s, "_fsdp_wrapped_module."), "what the file holds"),
    "Lightning": (
        lambda s: {
            "state_dict": prefixed(s, "model.") | {"criterion.weight": torch.ones(5)},
            "optimizer_states": [trained()],
            "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.9)}},
            "hyper_parameters": {"lr": 0.1},
        },
        "`state_dict`; names behind `model.`; leaves out criterion.weight",
    ),
    "Lightning, the network compiled": (lambda s: {"state_dict": prefixed(s, "net._orig_mod.")}, "names behind `net.`"),
    "Lightning with an average": (
        lambda s: {"state_dict": prefixed(OTHER, "net.") | prefixed(s, "ema_net.")},
        "names behind `ema_net.`; leaves out net.*",
    ),
    "torch's AveragedModel": (
        lambda s: prefixed(s, "module.") | {"n_averaged": torch.tensor(7)},
        "names behind `module.`",
    ),
    "two copies that are equal": (
        lambda s: prefixed(s, "student.") | prefixed(s, "teacher."),
        "names behind `student.`",
    ),
    "files older than 2018": (
        lambda s: {key: value for key, value in s.items() if "num_batches" not in key},
        "what the file holds",
    ),
    "half precision": (
        lambda s: {key: v.half() if v.is_floating_point() else v for key, v in s.items()},
        "what the file",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_the_weights_of_a_layout_are_found_and_told(tmp_path, layout, zipped):
    make, told = LAYOUTS[layout]
    values = state()
    whole = make(dict(values))
    torch.save(whole, tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
    found = read(tmp_path / "c.pth", net(1))
    assert f"takes {told}" in found.taken or told in found.taken
    assert found.taken.endswith("; mean and std of the recipe or row") and found.normaliser is None
    needed = {key for key in values if "num_batches" not in key}
    assert needed <= set(found.state) <= set(values)
    tolerance = 1e-3 if layout == "half precision" else 0
    for key in needed:
        torch.testing.assert_close(found.state[key].float(), values[key], rtol=tolerance, atol=tolerance)


def test_one_of_several_sets_is_taken_by_its_key(tmp_path):
    last, best = state(1), state(2)
    path = saved(tmp_path / "c.pth", {"last": last, "best": {"state_dict": best}})
    for part, meant in {"last": last, "best": best, "best.state_dict": best}.items():
        found = read(path, net(), part=part)
        same(found, meant)
        assert found.label.startswith(part)
    message = r"it has no weights under `first`, but under `last`, `best.state_dict`: correct column `part`$"
    with pytest.raises(ValueError, match=message):
        read(path, net(), part="first")


SEVERAL = "name one of them in column `part`, or save it alone, by torch.save(file[key], path)"
ALONE = "save its weights alone, by torch.save(model.state_dict(), path)"
REFUSED = {
    "teacher and student": (
        lambda s: {"teacher": s, "student": OTHER},
        f"it holds several sets of weights, `teacher`, `student`: {SEVERAL}",
    ),
    "two sets under one key": (
        lambda s: {"model": {"a": s, "b": OTHER}},
        f"it holds several sets of weights, `model.a`, `model.b`: {SEVERAL}",
    ),
    "two sets, neither of which has the network": (
        lambda s: {"a": {"w": torch.ones(2, 2)}, "b": {"w": torch.ones(2, 2)}},
        f"it holds several sets of weights, `a`, `b`: {SEVERAL}",
    ),
    "two copies that differ": (
        lambda s: prefixed(s, "student.") | prefixed(OTHER, "teacher."),
        "it has several copies of the network, after `student.`, `teacher.`: save the weights of one of them alone",
    ),
    "a network pickled whole": (
        lambda s: net(),
        f"it holds an object of {Net.__module__}.Net, which only its own code can open: {ALONE}",
    ),
    "a network pickled whole, under a key": (
        lambda s: {"epoch": 3, "args": argparse.Namespace(), "net": net()},
        f"it holds, under `net`, an object of {Net.__module__}.Net, which only its own code can open: {ALONE}",
    ),
    "nothing": (lambda s: {}, f"it holds no weights by name, but nothing: {ALONE}"),
    "numbers": (lambda s: {"epoch": 3, "lr": 0.1}, f"it holds no weights by name, but epoch, lr: {ALONE}"),
    "a list": (lambda s: [1], f"it holds no weights by name, but a list: {ALONE}"),
    "a tensor": (lambda s: torch.ones(2), f"it holds no weights by name, but a Tensor: {ALONE}"),
}


@pytest.mark.parametrize("layout", REFUSED)
def test_what_is_not_clear_is_refused_by_name(tmp_path, layout):
    make, told = REFUSED[layout]
    path = saved(tmp_path / "c.pth", make(state()))
    with pytest.raises(ValueError) as caught:
        read(path, net())
    assert str(caught.value) == f"{path}: {told}" and "\x1b" not in str(caught.value)


def test_what_does_not_fit_is_handed_on_under_the_nearest_names(tmp_path):
    values = state()
    values["head.weight"] = values.pop("fc.weight")
    found = read(saved(tmp_path / "c.pth", {"model": prefixed(values, "module.net.")}), net())
    assert set(found.state) == set(values) and found.label == "model"


def test_what_a_network_has_too_much_is_not_left_out(tmp_path):
    values = state() | {"more.weight": torch.ones(2, 2)}
    for whole in (values, prefixed(values, "module.")):
        assert set(read(saved(tmp_path / "c.pth", whole), net()).state) == set(values)


# Normalisers

NAMES = [
    *(("0.mean", "0.std", "1."), ("normalize.mean", "normalize.std", "model."), ("norm.mean", "norm.std", "net.")),
    *(("normalizer.mean", "normalizer.std", "model."), ("data_normalizer.mean", "data_normalizer.std", "backbone.")),
    *(("mean", "std", ""), ("mean", "std", "model."), ("mu", "sigma", ""), ("mu", "std", "model.")),
    *(("normalize.means", "normalize.sds", "model."), ("_mean", "_std", "_model."), ("pixel_mean", "pixel_std", "")),
    *(("in_data_mean", "in_data_std", ""), ("MEAN", "STD", "model.")),
    *(("model.mean", "model.std", "model."), ("preprocess.new_mean", "preprocess.new_std", "network.")),
]


@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0])
@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (3, 1, 1), (3,)])
@pytest.mark.parametrize("outer", ["", "module."])
def test_a_network_with_its_normaliser(tmp_path, names, shape, outer):
    mean, std, prefix = names
    whole = {mean: MEAN.view(shape), std: STD.view(shape)} | prefixed(state(), prefix)
    found = read(saved(tmp_path / "c.pth", {"state_dict": prefixed(whole, outer)}), net())
    same(found, state())
    assert (found.normaliser.mean, found.normaliser.std) == (MEAN.tolist(), STD.tolist())
    assert found.taken.endswith(f"; normaliser `{outer}{mean}` and `{outer}{std}`")


@pytest.mark.parametrize(
    "form", [lambda x: x, lambda x: x.view(1, 3, 1, 1), torch.Tensor.tolist, lambda x: tuple(x.tolist())]
)
def test_a_normaliser_beside_the_set_of_weights(tmp_path, form):
    whole = {"state_dict": prefixed(state(), "module."), "mean": form(MEAN), "std": form(STD), "epoch": 3}
    found = read(saved(tmp_path / "c.pth", whole), net())
    same(found, state())
    assert found.normaliser.mean == pytest.approx(MEAN.tolist()) and found.normaliser.std == pytest.approx(STD.tolist())
    assert found.taken == "takes `state_dict`; names behind `module.`; normaliser `mean` and `std`"


def test_a_single_number_called_mean_is_no_normaliser(tmp_path):
    whole = prefixed(state(), "model.") | {"train_loss.mean": torch.tensor(0.3)}
    found = read(saved(tmp_path / "c.pth", {"state_dict": whole}), net())
    assert found.normaliser is None and "leaves out train_loss.mean" in found.taken


def test_what_is_no_normaliser_beside_the_set_of_weights_is_left(tmp_path):
    whole = {"model": state(), "mean": 0.91, "std": [0.1], "means": "of five seeds"}
    assert read(saved(tmp_path / "c.pth", whole), net()).normaliser is None


def test_a_normaliser_in_safetensors_and_of_one_number(tmp_path):
    whole = {"normalize.mean": torch.tensor([0.25]), "normalize.std": torch.tensor(0.5)}
    save_file(whole | prefixed(state(), "model."), tmp_path / "download.pth")
    found = read(tmp_path / "download.pth", net())
    same(found, state())
    assert (found.normaliser.mean, found.normaliser.std) == ([0.25] * 3, [0.5] * 3)


ALONG = "save the network's weights alone, and write mean and std into the recipe or the row"
WRONG = {
    "of 0 to 255": (
        {"0.mean": 255 * MEAN, "0.std": 255 * STD},
        "the normaliser `0.mean` and `0.std` has mean 102, 127.5, 153 and standard deviation 51, 63.75, 76.5, but "
        "pixels here are in [0, 1]: where they are for pixels from 0 to 255, divide both by 255",
    ),
    "of 0 to 255, the mean alone": (
        {"0.mean": 255 * MEAN, "0.std": torch.ones(3)},
        "the normaliser `0.mean` and `0.std` has mean 102, 127.5, 153 and standard deviation 1, 1, 1, but pixels "
        "here are in [0, 1]: where they are for pixels from 0 to 255, divide both by 255",
    ),
    "half of one": (
        {"0.mean": MEAN},
        f"it has the mean of a normaliser, `0.mean`, but not its standard deviation: {ALONG}",
    ),
    "two that differ": (
        {"0.mean": MEAN, "0.std": STD, "pre.mean": MEAN / 2, "pre.std": STD / 2},
        f"it has several normalisers, `0.mean` and `0.std`, `pre.mean` and `pre.std`: {ALONG}",
    ),
    "of unknown names": (
        {"pre.shift": MEAN.view(1, 3, 1, 1)},
        f"`pre.shift` of 3 values may be part of a normaliser of unknown names: {ALONG}",
    ),
    "a convolution that shifts": (
        {"sub_mean.bias": MEAN, "sub_mean.weight": torch.eye(3).view(3, 3, 1, 1)},
        f"`sub_mean.bias` of 3 values may be part of a normaliser of unknown names: {ALONG}",
    ),
    "running statistics": (
        {"0.norm.running_mean": MEAN, "0.norm.running_var": STD},
        f"`0.norm.running_mean` of 3 values may be part of a normaliser of unknown names: {ALONG}",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("form", ["", "timm", "madry"])
@pytest.mark.parametrize("tensors", [True, False], ids=["safetensors", "torch"])
def test_a_normaliser_that_is_not_clear_is_refused(tmp_path, kind, form, tensors):
    extra, told = WRONG[kind]
    whole, path = extra | prefixed(state(), "1."), tmp_path / "c.pth"
    (save_file if tensors else torch.save)(whole, path)
    with pytest.raises(ValueError) as caught:
        read(path, net(), form)
    assert str(caught.value) == f"{path}: {told}"


@pytest.mark.parametrize("prefix", ["1.", "model."])
def test_a_normaliser_without_buffers_leaves_the_network(tmp_path, prefix):
    same(read(saved(tmp_path / "c.pth", prefixed(state(), prefix)), net()), state())


# Files


def test_safetensors_whatever_their_name(tmp_path):
    save_file(state(), tmp_path / "download.pth")
    same(read(tmp_path / "download.pth", net()), state())
    (tmp_path / "half.pth").write_bytes((tmp_path / "download.pth").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"half\.pth is not a complete checkpoint"):
        read(tmp_path / "half.pth", net())


def test_a_malicious_pickle_runs_nothing_and_its_weights_load(tmp_path):
    path = saved(tmp_path / "c.pth", {"state_dict": state(), "more": Evil(tmp_path / "evil")})
    same(read(path, net()), state())
    assert not (tmp_path / "evil").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "evil").exists(), "the pickle of this test is harmless, so it tests nothing"


class Opens(nn.Module):
    """Does something when it is opened: its code goes along in the file."""

    def __init__(self):
        super().__init__()
        self.weight = torch.ones(2, 2)

    @torch.jit.export
    def __getstate__(self):
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        print("it ran")
        self.weight, self.training = state[0], state[1]

    def forward(self, x):
        return x @ self.weight


def test_torchscript_is_refused_unrun(tmp_path, capfd):
    torch.jit.save(torch.jit.script(Opens()), tmp_path / "c.pt")
    with pytest.raises(ValueError) as caught:
        read(tmp_path / "c.pt", net())
    assert str(caught.value) == f"{tmp_path / 'c.pt'} is a TorchScript archive, whose code would have to run: {ALONE}"
    assert "it ran" not in capfd.readouterr().out
    with pytest.warns(UserWarning, match="looks like a TorchScript archive"):
        torch.load(tmp_path / "c.pt", weights_only=False)
    assert "it ran" in capfd.readouterr().out, "the archive of this test is harmless, so it tests nothing"


CONTENTS = {
    b"": "it is empty",
    b"<!DOCTYPE html><html></html>": "it is a web page, not the file behind it",
    b"\n\n <html>": "it is a web page, not the file behind it",
    b"\x89HDF\r\n\x1a\n" + bytes(90): "it is an HDF5 file",
    b"\x1f\x8b\x08" + bytes(90): "it is a gzip archive; name the file in it after # in column `source`",
    b"hello": ".",
    b"PK\x03\x04" * 9: ".",
}


@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "c.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"c\.pth is not a complete checkpoint: {CONTENTS[content]}"):
        read(path, net())


def test_an_archive_of_numpy_is_refused(tmp_path):
    np.savez(tmp_path / "c.npz", weight=np.ones(2))
    with pytest.raises(
        ValueError,
        match=r"c\.npz is not a complete checkpoint: it is a zip archive without weights of torch; name the file in it",
    ):
        read(tmp_path / "c.npz", net())


def test_a_truncated_checkpoint_is_refused(tmp_path):
    whole = saved(tmp_path / "c.pth", state()).read_bytes()
    for share in (0.01, 0.5, 0.99):
        (tmp_path / "cut.pth").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"cut\.pth is not a complete checkpoint: ."):
            read(tmp_path / "cut.pth", net())


@pytest.mark.parametrize("name", ["resnet10t", "xcit_nano_12_p16_224", "deit_tiny_distilled_patch16_224"])
@pytest.mark.parametrize("form", ["", "timm"])
def test_networks_of_timm(tmp_path, name, form):
    network = timm.create_model(name, num_classes=5)
    whole = {"0.mean": MEAN, "0.std": STD} | prefixed(network.state_dict(), "1.")
    found = read(saved(tmp_path / "c.pth", {"state_dict": whole}), copy.deepcopy(network), form)
    same(found, network.state_dict())
    assert found.normaliser.mean == MEAN.tolist()


# The backbones of Yamada & Otani 2022: ResNet-50 as their authors saved it, here with few channels

TRANSFERRED = {
    "torchvision": (lambda s: OrderedDict(s), ""),
    "ANT": (lambda s: {"model_state_dict": s, "optimizer_state_dict": trained(), "epoch": 120}, "model_state_dict"),
    "DeepAugment and AugMix": (
        lambda s: {
            "epoch": 29,
            "arch": "resnet50",
            "best_acc1": torch.tensor(75.8),
            "state_dict": prefixed(s, "module."),
            "optimizer": trained(),
        },
        "state_dict",
    ),
    "PRIME": (lambda s: prefixed(s, "module."), ""),
    "PRIME, flat": (lambda s: s, ""),
    "PRIME, in its file": (lambda s: {"model": prefixed(s, "module."), "step": 9}, "model"),
    "PRIME with its normalisation": (
        lambda s: {"state_dict": {"module.mean": MEAN, "module.std": STD} | prefixed(s, "module.net.")},
        "state_dict",
    ),
}


@pytest.mark.parametrize("kind", TRANSFERRED)
@pytest.mark.parametrize("form", ["", "timm"])
def test_resnets_of_the_transfer_study(tmp_path, kind, form):
    import torchvision

    torch.manual_seed(0)
    theirs = torchvision.models.ResNet(torchvision.models.resnet.Bottleneck, [1, 1, 1, 1], 5, width_per_group=4).eval()
    with torch.no_grad():
        theirs.train()(torch.rand(4, 3, 64, 64))  # statistics that are not those of a new network
    whole, label = TRANSFERRED[kind]
    ours = timm.models.resnet.ResNet(timm.models.resnet.Bottleneck, (1, 1, 1, 1), 5, base_width=4).eval()
    found = read(saved(tmp_path / "c.pth", whole(theirs.state_dict())), ours, form)
    assert (found.label, found.normaliser is None) == (label, "normalisation" not in kind)
    ours.load_state_dict(found.state)
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs.eval()(x), rtol=1e-4, atol=1e-5)


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


@pytest.mark.parametrize("form", ["bai", ""])
def test_eight_ghost_normalisations_are_one_at_test_time(tmp_path, form):
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
    found = read(path, ours, form)
    assert FORMATS["bai"].about in found.taken
    ours.load_state_dict(found.state)
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-4, atol=1e-5)
