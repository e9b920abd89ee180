"""Linear heads on patch tokens: segmentation and depth as their formulas say, and differentiable to the image."""

import pytest
import timm
import torch
import torch.nn.functional as F
from dense_models import ABOUT, INPUT, NORM

from mettle import models, schema
from mettle.models import features
from mettle.models.adapters import depth, segmenter
from mettle.models.adapters.backbone import PatchMaps


def about(task="segmentation", scale=None, size=32, **linear):
    found = schema.check({"task": task, "input": INPUT, "linear": linear}, "recipe", "here")
    shape = {"arch": "vit_mini", "size": size, "map_classes": 5, "classes": 5, "ignore": None, "scale": scale}
    blocks = {key: found[key] for key in ("backbone", "upernet", "linear")}
    return ABOUT | NORM | shape | blocks | {"transfer": "fixed", "task": task}


def images(height=32, width=32, n=2):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


def segmenting(**options):
    model = segmenter.create(about(**options), seed=0).eval()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, generator=torch.Generator().manual_seed(2))
    for name in ("running_mean", "running_var"):
        getattr(model.decode_head.convs, name).uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(1))
    return model


def measuring(**options):
    model = depth.create(about("depth", **options), seed=0).eval()
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(2))
    return model


def maps_of(model, x, layers, norm, class_token):
    """Patch tokens of blocks by hooks, side by side."""
    net, seen = model.network, {}
    hooks = [
        block.register_forward_hook(lambda b, a, out, k=k: seen.update({k: out})) for k, block in enumerate(net.blocks)
    ]
    net.forward_features((x - model.mean) / model.std)
    for hook in hooks:
        hook.remove()
    side, found = x.shape[-1] // 8, []
    for layer in layers:
        out = seen[layer % len(net.blocks)]
        out = net.norm(out) if norm else out
        grid = out[:, 1:].transpose(1, 2).unflatten(2, (-1, side))
        found += [grid] + [out[:, 0, :, None, None].expand_as(grid)] * class_token
    return torch.cat(found, dim=1)


CASES = [([-1], True, False), ([2, 5], False, False), ([-1], False, True), ([0, 3], True, True)]


@pytest.mark.parametrize(("layers", "norm", "class_token"), CASES)
@torch.no_grad()
def test_segmentation_is_batch_normalisation_and_one_convolution_of_patch_tokens(layers, norm, class_token):
    model = segmenting(layers=layers, norm=norm, class_token=class_token)
    maps, head = maps_of(model, images(32, 48), layers, norm, class_token), model.decode_head
    stats = head.convs
    seen = (maps - stats.running_mean[:, None, None]) / (stats.running_var[:, None, None] + stats.eps).sqrt()
    low = torch.einsum("nkhw,ck->nchw", seen, head.conv_seg.weight[..., 0, 0]) + head.conv_seg.bias[:, None, None]
    expected = F.interpolate(low, (32, 48), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model(images(32, 48)), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_batch_normalisation_may_be_left_out():
    model = segmenter.create(about(batch_norm=False), seed=0).eval()
    low = model.decode_head.conv_seg(maps_of(model, images(), [-1], True, False))
    expected = F.interpolate(low, (32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model(images()), expected)
    assert {key.split(".")[1] for key in model.state_dict() if key.startswith("decode_head")} == {"conv_seg"}


@pytest.mark.parametrize(("spacing", "upsample"), [("linear", 4), ("log", 1)])
@torch.no_grad()
def test_depth_is_the_mean_of_distances_weighted_by_logits_of_the_enlarged_tokens(spacing, upsample):
    """As the authors' head computes it: tokens are enlarged first, each block with its class token beside."""
    options = {"layers": [2, 5], "norm": False, "class_token": True, "bins": 7, "range": [0.5, 9], "flip": False}
    model = measuring(spacing=spacing, upsample=upsample, **options)
    maps = maps_of(model, images(), [2, 5], False, True)
    large = F.interpolate(maps, scale_factor=upsample, mode="bilinear", align_corners=False)
    weights = model.head(large).relu() + 0.1
    bins = torch.linspace(0.5, 9, 7) if spacing == "linear" else torch.tensor([0.5 * 18 ** (k / 6) for k in range(7)])
    low = (weights / weights.sum(1, keepdim=True) * bins[:, None, None]).sum(1)
    expected = F.interpolate(low[:, None], (32, 32), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(model(images()), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_flip_averaging_is_symmetric_and_off_in_training():
    model, plain = measuring(), measuring(flip=False)
    torch.testing.assert_close(model(images().flip(-1)), model(images()).flip(-1))
    torch.testing.assert_close(model(images()), (plain(images()) + plain(images().flip(-1)).flip(-1)) / 2)
    true = 1 + 8 * torch.rand(2, 32, 32)
    assert model.losses(images(), true) == plain.losses(images(), true)


def made(task, **options):
    return segmenting(**options) if task == "segmentation" else measuring(**options)


SLIDE = {"inference": "slide", "crop": 24, "stride": 16}


@pytest.mark.parametrize(
    ("task", "options", "size"),
    [
        ("segmentation", {}, (29, 37)),
        ("segmentation", {"scale": [40, 28]}, (29, 37)),
        ("segmentation", SLIDE, (40, 29)),
        ("depth", {}, (29, 37)),
        ("depth", {"scale": [40, 28]}, (29, 37)),
    ],
    ids=["padded", "resized", "windows", "depth, padded", "depth, resized"],
)  # fmt: skip
def test_gradients_to_the_image_are_those_of_finite_differences(task, options, size):
    model, step = made(task, **options).double(), 1e-6
    x = images(*size, n=1).double().requires_grad_()
    weigh = torch.randn(model(x).shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    (model(x) * weigh).sum().backward()
    along = torch.randn(x.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    with torch.no_grad():
        ends = [(model(x + sign * step * along) * weigh).sum().item() for sign in (1, -1)]
    assert (x.grad * along).sum().item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4)


@pytest.mark.parametrize("task", ["segmentation", "depth"])
def test_losses_are_those_of_the_maps_and_train_the_head_alone(task):
    model = made(task).train()
    true = torch.randint(0, 5, (2, 32, 32)) if task == "segmentation" else 1 + 8 * torch.rand(2, 32, 32)
    losses = model.losses(images(), true)
    again = model.head_losses(model.maps(images()), true)
    assert {*losses} == {*again} and all(torch.equal(losses[key], again[key]) for key in losses)
    sum(losses.values()).backward()
    graded = [name for name, value in model.named_parameters() if value.grad is not None]
    assert graded and not any(name.startswith("backbone.") for name in graded)
    assert not model.network.training


def test_a_network_without_class_token_gives_none():
    net = timm.create_model("vit_base_patch16_siglip_224", embed_dim=32, depth=1, num_heads=2, img_size=32)
    options = about(class_token=True)["linear"]
    with pytest.raises(ValueError, match=r"^VisionTransformer has no class token: set linear\.class_token to false$"):
        PatchMaps(net, options, "fixed")
    assert PatchMaps(net, options | {"class_token": False}, "fixed").channels == [32]


@torch.no_grad()
def test_a_hybrid_network_has_maps_at_the_stride_of_its_stem():
    net = models.build("vit_mini_hybrid", 0, 32, dynamic_img_size=True).eval()
    maps = PatchMaps(net, about()["linear"], "fixed")
    assert maps.divisor == 8
    (found,) = maps(images(32, 48))
    assert found.shape == (2, 128, 4, 6)
    torch.testing.assert_close(found.flatten(2).transpose(1, 2), features.tokens(net, images(32, 48))[:, 1:])
