"""Weights on disk: what is saved is what is loaded, and whatever does not fit is refused with the whole list."""

import json
import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mettle import models
from mettle.models import weights

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
ABOUT = {
    "arch": "resnet8",
    "classes": 10,
    "size": 32,
    "resize": None,
    "interpolation": "bilinear",
    "mean": MEAN,
    "std": STD,
    "threat": "l2",
    "eps": 0.5,
    "seed": 3,
    "provenance": {"rule": "train", "versions": {"torch": "2"}},
}


def model(arch="resnet8", classes=10, seed=1):
    made = models.create(arch, classes, 32, MEAN, STD, seed)
    with torch.no_grad():  # BatchNorm statistics that are not those of a new network
        made(torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    return made


def rewrite(path, change=lambda state: None, about=None, metadata=True):
    """Save a file again with its state or metadata changed, past the checks of `save`."""
    with safe_open(path, framework="pt") as file:
        told = json.loads(file.metadata()["mettle"])
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    change(state)
    told = {key: value for key, value in (told | (about or {})).items() if value is not ...}
    save_file(state, path, metadata={"mettle": json.dumps(told)} if metadata else None)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "deep" / "weights.safetensors"
    models.save(file, model(), ABOUT)
    return file


def names(path):
    return [file.name for file in path.parent.iterdir()]


@pytest.mark.parametrize("arch", ["resnet8", "densenet10", "xcit_mini"])
def test_round_trip_is_bit_equal(tmp_path, arch):
    made, file = model(arch).to(memory_format=torch.channels_last), tmp_path / "deep" / "weights.safetensors"
    models.save(file, made, ABOUT | {"arch": arch})
    torch.manual_seed(99)
    loaded, about = models.load(file)
    assert about == ABOUT | {"arch": arch, "input_range": [0, 1]}
    assert list(loaded.state_dict()) == list(made.state_dict())
    for key, value in made.state_dict().items():
        assert loaded.state_dict()[key].dtype == value.dtype, key
        assert torch.equal(loaded.state_dict()[key], value), key
    assert not any(module.training for module in loaded.modules())
    x = torch.rand(4, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), made.eval()(x), rtol=0, atol=1e-5)  # memory layouts differ
    assert names(file) == ["weights.safetensors"]


def test_saving_changes_nothing_in_the_model(tmp_path):
    made = model().train()
    models.save(tmp_path / "w.safetensors", made, ABOUT)
    assert all(module.training for module in made.modules())
    assert all(parameter.requires_grad for parameter in made.parameters())


def test_missing_extra_and_misshapen_are_all_told_at_once(path):
    def change(state):
        del state["network.fc.bias"], state["network.stem.1.weight"]
        state["network.more"] = torch.zeros(1)
        state["optimizer"] = torch.zeros(1)
        state["network.fc.weight"] = torch.zeros(11, 64)

    rewrite(path, change)
    with pytest.raises(ValueError, match=r"does not fit CifarResNet: ") as caught:
        models.load(path)
    told = str(caught.value).partition("CifarResNet: ")[2].split("; ")
    assert str(caught.value).startswith(str(path))
    assert sorted(told) == sorted(
        [
            "missing network.stem.1.weight",
            "missing network.fc.bias",
            "extra network.more",
            "extra optimizer",
            "network.fc.weight has shape (11, 64), expected (10, 64)",
        ]
    )


def test_weights_of_another_architecture_are_refused_with_short_lists_of_either_side(path):
    rewrite(path, about={"arch": "densenet10"})
    with pytest.raises(ValueError, match=r"does not fit DenseNet: missing network\.") as caught:
        models.load(path)
    own, other = set(model("densenet10").state_dict()), set(model().state_dict())
    own = {key for key in own if not key.endswith("num_batches_tracked")}
    told = str(caught.value)
    assert f"; and {len(own - other) - 8} more; extra " in told and told.count("missing ") == told.count("extra ") == 8
    assert told.endswith(f"; and {len(other - set(model('densenet10').state_dict())) - 8} more")


@pytest.mark.parametrize(
    ("old", "new", "like"),
    [
        ("network.fc.weight", "network.linear.weight", " (the file has network.linear.weight of its shape)"),
        ("network.stem.0.weight", "network.conv1.weight", " (the file has network.conv1.weight of its shape)"),
        ("network.fc.weight", None, ""),
    ],
)
def test_what_the_file_has_in_place_of_what_is_missing_is_told(path, old, new, like):
    def change(state):
        value = state.pop(old)
        state |= {} if new is None else {new: value}

    rewrite(path, change)
    with pytest.raises(
        ValueError, match=rf"does not fit CifarResNet: missing {re.escape(old + like)}(; extra {new})?$"
    ):
        models.load(path)


def test_counts_of_batches_may_be_missing_as_in_files_older_than_2018(path):
    whole, _ = models.load(path)
    rewrite(path, lambda state: [state.pop(key) for key in list(state) if key.endswith("num_batches_tracked")])
    x = torch.rand(4, 3, 32, 32)
    assert torch.equal(models.load(path)[0](x), whole(x))


def test_weights_that_share_memory_are_saved(tmp_path):
    made = model()
    made.network.stages[0].conv2.weight = made.network.stages[0].conv1.weight
    models.save(tmp_path / "w.safetensors", made, ABOUT)
    state = models.load(tmp_path / "w.safetensors")[0].state_dict()
    assert all(torch.equal(state[key], value) for key, value in made.state_dict().items())


def test_fill_is_all_or_nothing():
    made = model(seed=1)
    before = {key: value.clone() for key, value in made.state_dict().items()}
    state = model(seed=2).state_dict()
    del state["network.fc.bias"]
    with pytest.raises(ValueError, match=r"^here does not fit CifarResNet: missing network\.fc\.bias$"):
        weights.fill(made, state, "here")
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())


def test_another_model_than_expected_is_refused(path):
    models.load(path, arch="resnet8", classes=10)
    with pytest.raises(
        ValueError, match=r"holds another model: arch 'resnet8' instead of 'vgg5', classes 10 instead of 100$"
    ):
        models.load(path, arch="vgg5", classes=100, seed=3)
    with pytest.raises(ValueError, match=r"holds another model: nothing None instead of 1$"):
        models.load(path, nothing=1)


def test_number_of_classes_in_metadata_is_checked_against_the_weights(path):
    rewrite(path, about={"classes": 12})
    with pytest.raises(ValueError, match=r"network\.fc\.weight has shape \(10, 64\), expected \(12, 64\)"):
        models.load(path)


def test_another_input_range_is_refused(path):
    rewrite(path, about={"input_range": [0, 255]})
    with pytest.raises(ValueError, match=r"made for input range \[0, 255\], models here take images in \[0, 1\]$"):
        models.load(path)


def test_metadata_that_is_missing_is_listed(path):
    rewrite(path, about={"mean": ..., "eps": ...})
    with pytest.raises(ValueError, match=r"metadata lacks \['mean', 'eps'\]; .* go through the rule `convert`$"):
        models.load(path)
    rewrite_none = path.with_name("none.safetensors")
    rewrite_none.write_bytes(path.read_bytes())
    rewrite(rewrite_none, metadata=False)
    with pytest.raises(ValueError, match=r"metadata lacks \['arch', 'classes', .*'input_range', 'threat', 'eps'\]"):
        models.load(rewrite_none)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"weights\.safetensors cannot be read as safetensors: "):
        models.load(path)


def test_a_file_that_is_something_else_or_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.safetensors cannot be read as safetensors: "):
        models.load(tmp_path / "nowhere.safetensors")
    torch.save(model().state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors cannot be read as safetensors: "):
        models.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize("key", ["mean", "std"])
def test_normalisation_that_differs_from_metadata_is_refused(path, key):
    rewrite(path, lambda state: state[key].add_(0.01))
    with pytest.raises(
        ValueError, match=rf"{key} in the weights differs from \[0\.\d+, 0\.\d+, 0\.\d+\] in the metadata$"
    ):
        models.load(path)


def test_save_needs_complete_metadata_and_writes_nothing_without(tmp_path):
    about = {key: value for key, value in ABOUT.items() if key not in ("threat", "resize")}
    with pytest.raises(ValueError, match=r"metadata lacks \['resize', 'threat'\]$"):
        models.save(tmp_path / "w.safetensors", model(), about)
    assert not list(tmp_path.iterdir())


def test_input_range_cannot_be_claimed(tmp_path):
    models.save(tmp_path / "w.safetensors", model(), ABOUT | {"input_range": [0, 255]})
    assert models.load(tmp_path / "w.safetensors")[1]["input_range"] == [0, 1]


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    old = path.read_bytes()

    def full(state, name, metadata):
        name.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(OSError, match=r"^no space left on device$"):
        models.save(path, model(seed=2), ABOUT)
    assert path.read_bytes() == old
    assert names(path) == [path.name]


def test_saving_again_replaces(path):
    old = path.read_bytes()
    with path.open("rb") as reader:  # whoever reads the old file goes on with it
        models.save(path, model(seed=2), ABOUT | {"seed": 4})
        assert reader.read() == old
    loaded, about = models.load(path)
    assert about["seed"] == 4
    assert torch.equal(loaded.network.fc.weight, model(seed=2).network.fc.weight)
    assert names(path) == [path.name]
