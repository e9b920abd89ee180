"""Robustness tokens in networks of timm: what they change, what they leave alone, and their files."""

import pytest
import timm
import torch

from mettle import models
from mettle.models import features, tokens
from mettle.models.weights import TOKENS

SMALL = {"embed_dim": 32, "depth": 3, "num_heads": 2, "img_size": 32, "num_classes": 5}
NETWORKS = {
    "vit_tiny_patch16_224": {"patch_size": 8},
    "vit_small_patch14_reg4_dinov2": {"patch_size": 8},
    "deit3_small_patch16_224": {"patch_size": 8},
    "vit_base_patch32_clip_224": {"patch_size": 8},
    "vit_base_patch16_siglip_224": {"patch_size": 8},
}
ROTARY = "vit_small_patch16_dinov3"


def network(name, seed=0):
    torch.manual_seed(seed)
    shape = SMALL | NETWORKS.get(name, {"patch_size": 8})
    found = timm.create_model(name, **shape).eval()
    for part, value in found.named_parameters():
        if "gamma" in part:  # of layer scale, which starts so near 0 that blocks do almost nothing
            torch.nn.init.ones_(value)
    return found


def values(n=3, seed=1, width=32):
    return torch.randn(1, n, width, generator=torch.Generator().manual_seed(seed))


IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", NETWORKS)
def test_both_positions_give_the_same_outputs_which_are_not_those_without_tokens(name):
    plain, end, registers = (network(name) for _ in range(3))
    tokens.attach(end, values(), "end")
    tokens.attach(registers, values(), "registers")
    with torch.no_grad():
        expected, found = features.tokens(end, IMAGES), features.tokens(registers, IMAGES)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(registers(IMAGES), end(IMAGES), rtol=0, atol=1e-5)
        assert (found - features.tokens(plain, IMAGES)).abs().max() > 1e-4


@pytest.mark.parametrize("name", [*NETWORKS, ROTARY])
def test_without_tokens_and_with_none_the_network_is_as_it_was(name):
    plain, hardened, empty = (network(name) for _ in range(3))
    tokens.attach(hardened, values(), "registers")
    tokens.attach(empty, values(0), "registers")
    with torch.no_grad():
        expected, before = plain(IMAGES), hardened(IMAGES)
        with tokens.without(hardened):
            assert torch.equal(hardened(IMAGES), expected)
        assert torch.equal(hardened(IMAGES), before) and not torch.equal(before, expected)
        assert torch.equal(empty(IMAGES), expected)


def test_tokens_are_shared_by_the_images_and_features_have_none():
    hardened = network("vit_small_patch14_reg4_dinov2")
    tokens.attach(hardened, values())
    with torch.no_grad():
        both = features.tokens(hardened, IMAGES)
        assert both.shape == (2, 1 + 16, 32)
        each = torch.cat([features.tokens(hardened, image[None]) for image in IMAGES])
        torch.testing.assert_close(both, each, rtol=0, atol=1e-6)


def test_maps_of_every_block_are_those_of_patches():
    plain, hardened = network("vit_tiny_patch16_224"), network("vit_tiny_patch16_224")
    tokens.attach(hardened, torch.zeros(1, 0, 32))
    found = hardened.forward_intermediates(IMAGES, intermediates_only=True)
    for one, other in zip(found, plain.forward_intermediates(IMAGES, intermediates_only=True), strict=True):
        assert torch.equal(one, other)
    more = network("vit_tiny_patch16_224")
    tokens.attach(more, values())
    assert [one.shape for one in more.forward_intermediates(IMAGES, intermediates_only=True)] == [(2, 32, 4, 4)] * 3


def test_they_are_registers_of_a_network_that_has_room_for_them():
    """What a conversion to DINOv2's registers relies on: n tokens beside 4 registers are 4 + n registers."""
    hardened = network("vit_small_patch14_reg4_dinov2")
    tokens.attach(hardened, values())
    torch.manual_seed(0)
    shape = SMALL | {"patch_size": 8, "reg_tokens": 7}
    other = timm.create_model("vit_small_patch14_reg4_dinov2", **shape).eval()
    state = {key: value for key, value in hardened.state_dict().items() if not key.startswith("robustness.")}
    other.load_state_dict(state | {"reg_token": torch.cat([state["reg_token"], values()], dim=1)})
    with torch.no_grad():
        torch.testing.assert_close(other(IMAGES), hardened(IMAGES), rtol=0, atol=1e-5)


def test_only_tokens_get_gradients_from_a_frozen_network():
    hardened = network("vit_tiny_patch16_224").requires_grad_(False)
    found = tokens.attach(hardened, values())
    hardened(IMAGES).sum().backward()
    assert found.grad.abs().sum() > 0
    assert [name for name, value in hardened.named_parameters() if value.grad is not None] == ["robustness.tokens"]


@pytest.mark.parametrize(
    ("build", "given", "message"),
    [
        (lambda: network("vit_tiny_patch16_224"), values(width=16), r"^tokens of width 16 do not fit .* of width 32$"),
        (lambda: models.build("resnet8", 5, 32), values(), r"^CifarResNet is no vision transformer of timm, so "),
        (lambda: network(ROTARY), values(), r"^Eva rotates all tokens but the first .*: set position to registers"),
    ],
    ids=["width", "not a ViT", "rotary"],
)  # fmt: skip
def test_what_does_not_fit_is_refused(build, given, message):
    with pytest.raises(ValueError, match=message):
        tokens.attach(build(), given)


def test_a_network_has_tokens_once():
    hardened = network("vit_tiny_patch16_224")
    tokens.attach(hardened, values())
    with pytest.raises(
        ValueError, match=r"^the network has robustness tokens already: name as base the row that has n"
    ):
        tokens.attach(hardened, values())


# Files of tokens

ABOUT = {"arch": "vit_mini", "classes": 4, "size": 16, "resize": None, "interpolation": "bilinear"}
ABOUT |= {"mean": [0.5] * 3, "std": [0.25] * 3, "threat": "none", "eps": 0}


@pytest.fixture
def files(tmp_path):
    """Weights of a base, and of tokens beside it."""
    from mettle.digests import sha256_of

    base, own = (tmp_path / name / "weights.safetensors" for name in ("plain", "hard"))
    for path in (base, own):
        path.parent.mkdir()
    models.save(base, models.create("vit_mini", 4, 16, [0.5] * 3, [0.25] * 3, seed=0), ABOUT)

    def save(state, **changed):
        about = ABOUT | {"kind": TOKENS, "base": "plain", "base_sha256": sha256_of(base), "position": "end"} | changed
        models.save(own, state, about)
        return own

    return base, save


def test_a_file_of_tokens_is_the_base_with_them_and_holds_nothing_else(files):
    base, save = files
    own = save({TOKENS: values(width=128)})
    assert own.stat().st_size < 4000
    (plain, _), (found, about) = models.load(base), models.load(own)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), tokens.without(found.network):
        assert torch.equal(found(images), plain(images))
    assert torch.equal(found.network.robustness.tokens, values(width=128)) and about["base"] == "plain"


@pytest.mark.parametrize(
    ("state", "changed", "message"),
    [
        (values(width=64), {}, r"hard/weights\.safetensors: tokens of width 64 do not fit \w+ of width 128$"),
        (values(width=128), {"base_sha256": "0"}, r": its tokens are for other weights than .* has now: train the tok"),
        (values(width=128), {"base": "other"}, r": its tokens are for 'other', but .* does not exist: make it first$"),
    ],
    ids=["width", "hash", "no base"],
)  # fmt: skip
def test_tokens_of_another_base_are_refused(files, state, changed, message):
    _, save = files
    with pytest.raises(ValueError, match=message):
        models.load(save({TOKENS: state}, **changed))


def test_a_file_of_tokens_with_something_else_is_refused(files):
    _, save = files
    with pytest.raises(ValueError, match=r": holds more, tokens instead of tokens$"):
        models.load(save({TOKENS: values(width=128), "more": torch.ones(1)}))
