"""Class token and patch tokens of every kind of vision transformer, in the order and with the norm that heads need."""

import pytest
import timm
import torch
from test_dinov2_network import small
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from mettle.models import features

SHAPE = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2, "num_classes": 5}
ROPE = {"use_rot_pos_emb": True, "rope_type": "dinov3", "use_abs_pos_emb": False, "use_fc_norm": False}
# Networks, with the number of tokens before patches and whether the first is a class token.
KINDS = {
    "plain": (lambda: VisionTransformer(**SHAPE), 1, True),
    "headless": (lambda: VisionTransformer(**SHAPE | {"num_classes": 0}), 1, True),
    "DINOv2": (lambda: small(depth=3), 1, True),
    "DINOv2 with registers": (lambda: small(4, True, depth=3), 5, True),
    "DeiT3": (lambda: VisionTransformer(**SHAPE, no_embed_class=True, init_values=1e-1), 1, True),
    "distilled DeiT": (
        lambda: timm.create_model("deit_tiny_distilled_patch16_224", **SHAPE | {"patch_size": 8}),
        2,
        True,
    ),
    "CLIP": (lambda: VisionTransformer(**SHAPE, pre_norm=True), 1, True),
    "SigLIP": (lambda: VisionTransformer(**SHAPE, class_token=False, global_pool="map"), 0, False),
    "registers without class token": (
        lambda: VisionTransformer(**SHAPE, class_token=False, reg_tokens=3, global_pool="avg"),
        3,
        False,
    ),
    "DINOv3": (lambda: Eva(**SHAPE, **ROPE, num_reg_tokens=4, dynamic_img_size=True), 5, True),
    "EVA without class token": (lambda: Eva(**SHAPE, class_token=False, global_pool="avg"), 0, False),
    "BEiT": (lambda: timm.create_model("beit_base_patch16_224", **SHAPE), 1, True),
    "relative positions": (
        lambda: timm.create_model("vit_relpos_base_patch16_cls_224", **SHAPE),
        1,
        True,
    ),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def made(kind):
    torch.manual_seed(0)
    build, before, classed = KINDS[kind]
    network = build().eval()
    with torch.no_grad():
        for parameter in network.parameters():  # fresh norms and tokens are alike
            parameter.add_(0.05 * torch.randn_like(parameter))
    side = network.patch_embed.patch_size[0]
    height, width = (2, 3) if kind.startswith("DINO") else (4, 4)
    return network, torch.randn(2, 3, height * side, width * side), (height, width), before, classed


def after_blocks(network, images):
    """Tokens of the image after each block, and after the norm, as the network's own pass makes them."""
    seen = []
    handles = [block.register_forward_hook(lambda module, args, out: seen.append(out)) for block in network.blocks]
    network(images)
    for handle in handles:
        handle.remove()
    return seen


@kinds
@torch.no_grad()
def test_tokens_are_those_of_the_last_block_after_the_norm_without_registers(kind):
    network, images, (height, width), before, classed = made(kind)
    last = network.norm(after_blocks(network, images)[-1])
    found = features.tokens(network, images)
    assert found.shape == (2, classed + height * width, last.shape[2])
    assert torch.equal(found[:, classed:], last[:, before:])
    assert not classed or torch.equal(found[:, 0], last[:, 0])


@kinds
@pytest.mark.parametrize("norm", [False, True])
@torch.no_grad()
def test_blocks_are_given_in_the_order_of_the_question(kind, norm):
    network, images, (height, width), before, classed = made(kind)
    blocks = after_blocks(network, images)
    layers = [2, 0, -1, -2, 0]
    found = features.intermediate(network, images, layers, norm)
    assert len(found) == len(layers)
    for layer, (token, maps) in zip(layers, found, strict=True):
        expected = network.norm(blocks[layer]) if norm else blocks[layer]
        assert maps.shape == (2, expected.shape[2], height, width)
        assert torch.equal(maps.flatten(2).mT, expected[:, before:])
        assert torch.equal(token, expected[:, 0]) if classed else token is None
    assert not torch.equal(found[0][1], found[1][1])


@kinds
@torch.no_grad()
def test_the_last_block_after_the_norm_is_what_tokens_has(kind):
    network, images, *_, classed = made(kind)
    ((token, maps),) = features.intermediate(network, images, [-1], norm=True)
    first = [token[:, None]] if classed else []
    assert torch.equal(torch.cat([*first, maps.flatten(2).mT], dim=1), features.tokens(network, images))


@kinds
def test_gradients_reach_every_pixel(kind):
    network, images, *_ = made(kind)
    for run in (
        lambda x: features.tokens(network, x),
        lambda x: torch.cat([maps for _, maps in features.intermediate(network, x, [0, -1], norm=False)]),
    ):
        x = images.clone().requires_grad_()
        run(x).square().sum().backward()
        assert (x.grad != 0).any(1).all()


def test_the_class_token_is_what_the_head_of_a_network_takes():
    network, images, *_ = made("DINOv3")
    pooled = features.tokens(network, images)[:, 1:].mean(1)
    torch.testing.assert_close(network.forward_head(network.forward_features(images), pre_logits=True), pooled)
    network, images, *_ = made("CLIP")
    assert torch.equal(network.head(features.tokens(network, images)[:, 0]), network(images))


@pytest.mark.parametrize("arch", ["vit_small_patch16_dinov3", "vit_base_patch16_siglip_224", "deit3_small_patch16_224"])
def test_published_networks_give_tokens(arch):
    with torch.device("meta"):
        network = timm.create_model(arch, img_size=224, num_classes=0).eval()
        found = features.tokens(network, torch.rand(1, 3, 224, 224))
    assert found.shape == (1, 196 + ("siglip" not in arch), network.num_features)


@pytest.mark.parametrize("arch", ["test_convnext", "xcit_nano_12_p16_224", None])
def test_other_networks_are_refused(arch):
    network = timm.create_model(arch) if arch else nn.Linear(3, 3)
    words = f"^{type(network).__name__} is no vision transformer of timm, so it has no class token and patch tokens: "
    images = torch.rand(1, 3, 64, 64)
    with pytest.raises(ValueError, match=words):
        features.tokens(network, images)
    with pytest.raises(ValueError, match=words):
        features.intermediate(network, images, [-1], norm=True)


@pytest.mark.parametrize("layer", [3, -4])
def test_a_block_that_there_is_not_is_refused(layer):
    network, images, *_ = made("plain")
    words = f"^VisionTransformer has blocks 0 to 2, or -3 to -1, but not {layer}$"
    with pytest.raises(ValueError, match=words):
        features.intermediate(network, images, [0, layer], norm=False)
