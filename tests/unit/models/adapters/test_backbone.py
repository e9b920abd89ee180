"""Classification networks as backbones: their maps, what of them is fixed, and the weights that they start from."""

import pytest
import torch
from dense_models import ABOUT, NORM, backbone_options
from torch import nn

from mettle import models
from mettle.models.adapters import backbone
from mettle.models.weights import read

SWIN = "swin_tiny_patch4_window7_224"


def create(arch="resnet10t_half", size=64, transfer="full", drop_path=0.0, **options):
    return backbone.create(arch, size, backbone_options(**options), transfer, drop_path)


def noise(height, width, n=2, seed=0):
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("arch", "size", "channels"),
    [
        ("resnet10t_half", 64, [32, 64, 128, 256]),
        ("test_convnext", 64, [24, 32, 48, 64]),
        ("test_efficientnet", 64, [24, 32, 48, 64]),
        (SWIN, 64, [96, 192, 384, 768]),
        ("test_vit", 64, [64] * 4),
        ("xcit_mini", 32, [64] * 4),
    ],
)
@torch.no_grad()
def test_maps_have_the_strides_and_channels_that_it_states(arch, size, channels):
    made = create(arch, size).eval()
    assert made.channels == channels and made.strides == [4, 8, 16, 32]
    maps = made(noise(64, 96))  # of another size than it was built for
    assert [tuple(found.shape) for found in maps] == [
        (2, width, 64 // stride, 96 // stride) for width, stride in zip(channels, made.strides, strict=True)
    ]


@torch.no_grad()
def test_only_the_strides_that_are_asked_for_are_given():
    maps = create(strides=[4, 8, 16]).eval()(noise(64, 64))
    assert [found.shape[-1] for found in maps] == [16, 8, 4]


@torch.no_grad()
def test_maps_are_those_of_the_network_itself():
    made = create().eval()
    images = noise(64, 64)
    x = made.network.maxpool(made.network.act1(made.network.bn1(made.network.conv1(images))))
    for found, layer in zip(made(images), ("layer1", "layer2", "layer3", "layer4"), strict=True):
        x = getattr(made.network, layer)(x)
        assert torch.equal(found, x)


@torch.no_grad()
def test_a_transformer_of_any_size_is_the_same_at_its_own():
    import timm

    torch.manual_seed(0)
    network = timm.create_model(SWIN, img_size=64, num_classes=0).eval()
    made = create(SWIN).eval()
    made.network.load_state_dict(network.state_dict())
    images = noise(64, 64)
    for ours, theirs in zip(made(images), network.forward_intermediates(images, intermediates_only=True), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_vit_gives_maps_of_several_depths():
    assert backbone._indices([16] * 12, [4, 8, 16, 32]) == [2, 5, 8, 11]
    assert backbone._indices([16] * 3, [4, 8, 16, 32]) == [0, 1, 2, 2]
    assert backbone._indices([2, 4, 8, 16, 16], [4, 8, 16, 32]) == [1, 2, 4, 4]


@torch.no_grad()
def test_native_resnets_are_those_of_timm():
    ours, theirs = create("resnet50").eval(), create("resnet50", names="native").eval()
    assert list(ours.network.state_dict()) == list(theirs.network.state_dict())
    theirs.network.load_state_dict(ours.network.state_dict())
    assert ours.channels == theirs.channels and theirs.divisor == 1
    for one, other in zip(ours(noise(64, 64, 1)), theirs(noise(64, 64, 1)), strict=True):
        torch.testing.assert_close(one, other)


@torch.no_grad()
def test_a_native_swin_gives_normalised_maps():
    made = create(SWIN, names="native", strides=[4, 16]).eval()
    assert made.channels == [96, 384] and "norm0.weight" in made.network.state_dict()
    assert [tuple(found.shape) for found in made(noise(60, 64, 1))] == [(1, 96, 15, 16), (1, 384, 4, 4)]


def test_what_has_no_maps_is_refused():
    with pytest.raises(ValueError, match="architecture 'resnet8' gives no feature maps"):
        create("resnet8", 32)
    with pytest.raises(ValueError, match=r"backbone.names is 'native', but mmsegmentation has no 'test_vit' here"):
        create("test_vit", names="native")
    with pytest.raises(ValueError, match=r"strides are 4, 8, 16 and 32 where backbone.names is 'native', got 5"):
        create("resnet50", names="native", strides=[4, 5])
    with pytest.raises(ValueError, match=r"'resnet50' has no drop path: drop_path must be 0, got 0.1"):
        create("resnet50", names="native", drop_path=0.1)


# What is fixed


def step(made):
    """Names of what changes in a pass in training mode and a step along all gradients."""
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)  # a residual branch that begins at 0 would give its layers no gradient
    before = {key: value.clone() for key, value in made.state_dict().items()}
    loss = sum(found.square().sum() for found in made.train()(noise(64, 64)))
    if loss.requires_grad:
        loss.backward()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.grad is not None:
                parameter -= 0.01 * parameter.grad
    return {key for key, value in made.state_dict().items() if not torch.equal(value, before[key])}


def test_fixed_it_stays_as_it_is_in_evaluation_mode():
    made = create(transfer="fixed")
    assert step(made) == set()
    assert made.training and not made.network.training
    assert not any(parameter.requires_grad for parameter in made.parameters())


def test_fixed_it_has_no_drop_path():
    made = create(SWIN, transfer="fixed", drop_path=0.5).train()
    assert all(map(torch.equal, made(noise(64, 64)), made(noise(64, 64))))
    moving = create(SWIN, drop_path=0.5).train()
    assert not torch.equal(moving(noise(64, 64))[-1], moving(noise(64, 64))[-1])


def test_in_full_everything_moves():
    made = create()
    assert step(made) == set(made.state_dict())


def test_frozen_stages_stay_and_the_others_move():
    made = create(frozen_stages=1)
    stay = {key for key in made.state_dict() if key.split(".")[1] in ("conv1", "bn1", "layer1")}
    assert stay and step(made) == set(made.state_dict()) - stay


def test_with_norm_eval_the_statistics_stay_and_the_weights_move():
    made = create(norm_eval=True)
    assert step(made) == {key for key, _ in made.named_parameters()}


# The weights of a base


@pytest.fixture
def base(tmp_path):
    """Writes the weights of a classifier; gives it and its file."""

    def write(arch="resnet10t_half", size=64, **changed):
        model = models.create(arch, 7, size, **NORM, seed=3)
        found = {key: changed.get(key, value) for key, value in model.state_dict().items()}
        found = {key: value for key, value in found.items() if value is not None}
        models.save(tmp_path / "base.safetensors", found, ABOUT | NORM | {"arch": arch, "classes": 7, "size": size})
        return model, tmp_path / "base.safetensors"

    return write


def test_it_starts_from_all_weights_of_a_classifier_but_its_head(base):
    model, path = base()
    made = create()
    report = made.load(path, "resnet10t_half")
    assert report["loaded"] == list(made.network.state_dict()) and report["interpolated"] == []
    assert sorted(report["unexpected"]) == ["fc.bias", "fc.weight"]
    own = model.network.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in made.network.state_dict().items())


def test_it_starts_from_a_model_of_a_dense_task_too(tmp_path):
    from dense_models import about, segmenting

    other = segmenting()
    models.save(tmp_path / "dense.safetensors", other.state_dict(), about())
    made = create()
    assert made.load(tmp_path / "dense.safetensors", "resnet10t_half")["unexpected"] == []
    state = other.backbone.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in made.state_dict().items())


def test_position_embeddings_come_to_its_size(base):
    _, path = base("test_vit", 32)
    report = create("test_vit", 64).load(path, "test_vit")
    assert report["interpolated"] == ["pos_embed"] and "blocks.0.attn.qkv.weight" in report["loaded"]


@torch.no_grad()
def test_a_native_swin_starts_from_a_classifier_with_timms_names(base):
    model, path = base(SWIN, 224)
    made = create(SWIN, 224, names="native")
    report = made.load(path, SWIN)
    assert sorted(report["unexpected"]) == ["head.fc.bias", "head.fc.weight"]
    assert {name.rpartition(".")[2] for name in report["missing"]} == {"weight", "bias", "relative_position_index"}
    assert all(name.startswith(("norm0.", "norm1.", "norm2.", "stages.")) for name in report["missing"])
    assert {*report["loaded"], *report["missing"]} == set(made.network.state_dict()) and report["interpolated"] == []
    images = noise(224, 224, 1)
    theirs = model.network.eval().forward_intermediates(images, intermediates_only=True)
    for stage, (ours, raw) in enumerate(zip(made.eval()(images)[:3], theirs[:3], strict=True)):
        norm = getattr(made.network, f"norm{stage}")
        torch.testing.assert_close(ours, norm(raw.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), rtol=1e-3, atol=1e-4)


def test_another_architecture_is_refused(base):
    with pytest.raises(ValueError, match="the base has architecture 'resnet10t_half', the model has 'test_resnet'"):
        create("test_resnet").load(base()[1], "test_resnet")


def test_a_base_that_lacks_an_entry_is_refused_and_changes_nothing(base):
    _, path = base(**{"network.layer4.0.conv1.weight": None})
    made = create()
    before = {key: value.clone() for key, value in made.state_dict().items()}
    with pytest.raises(ValueError, match=r"base.safetensors does not fit ResNet: missing layer4.0.conv1.weight$"):
        made.load(path, "resnet10t_half")
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())
    assert "network.layer4.0.conv1.weight" not in read(path)[0]
