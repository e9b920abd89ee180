"""Fine-tuning: everything that fits is taken over, what does not is told, and the input stays the new model's."""

import math

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed
from torch import nn

from mettle import models
from mettle.models import Classifier, finetune
from mettle.models.finetune import _heads

OLD, NEW = ([0.5] * 3, [0.5] * 3), ([0.3, 0.4, 0.5], [0.2, 0.25, 0.3])
SMALL = {"embed_dim": 32, "depth": 1, "num_heads": 2}
# Tiny networks of each family: timm's name, options by input size, name of the head's weight.
FAMILIES = {
    "resnet": ("resnet18", {"channels": (8, 8, 8, 8)}, "fc"),
    "xcit": ("xcit_nano_12_p16_224", SMALL | {"cls_attn_layers": 1}, "head"),
    "vit": ("vit_tiny_patch16_224", SMALL, "head"),
    "convnext": ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (8, 8, 8, 8)}, "head.fc"),
    "deit": ("deit_tiny_distilled_patch16_224", SMALL, "head"),
    "cait": ("cait_xxs24_224", SMALL | {"depth_token_only": 1}, "head"),
    "levit": ("levit_128s", {}, "head.linear"),
    "swin": ("swin_tiny_patch4_window7_224", {"embed_dim": 8, "depths": (1, 1), "num_heads": (1, 1)}, "head.fc"),
}
SIZED = ("xcit", "vit", "deit", "cait", "swin")


def network(family, classes, size):
    name, options, _ = FAMILIES[family]
    sized = {"img_size": size} if family in SIZED else {}
    return timm.create_model(name, num_classes=classes, **options, **sized)


def classifier(family, classes, size=32, seed=0, norm=OLD):
    torch.manual_seed(seed)
    made = Classifier(network(family, classes, size), *norm, size)
    with torch.no_grad():  # no two entries alike, whatever the initialisation
        for value in [*made.network.parameters(), *made.network.buffers()]:
            if value.is_floating_point():
                value.add_(0.1 * torch.rand_like(value))
    return made


def saved(path, model, arch, classes, size=32):
    about = {
        "arch": arch,
        "classes": classes,
        "size": size,
        "resize": None,
        "interpolation": "bilinear",
        "threat": "none",
        "eps": 0,
        "dataset": "old",
    }
    models.save(path, model, about | {"mean": OLD[0], "std": OLD[1]})
    return path


def entries(model):
    return {key: value.clone() for key, value in model.network.state_dict().items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_everything_but_the_head_is_taken_over(tmp_path, family):
    size = 64 if family == "levit" else 32
    old, new = classifier(family, 5, size), classifier(family, 7, size, seed=1, norm=NEW)
    head, before = FAMILIES[family][2], entries(new)
    report = finetune(new, saved(tmp_path / "w.safetensors", old, family, 5), "new")
    after, given = entries(new), entries(old)
    assert {f"{head}.weight", f"{head}.bias"} <= set(report["replaced"])
    assert {key for key in before if before[key].shape != given[key].shape} <= set(report["replaced"]) == _heads(new)
    assert all(torch.equal(after[key], before[key]) for key in report["replaced"])
    assert set(report["loaded"]) == set(before) - set(report["replaced"])
    assert all(torch.equal(after[key], given[key]) for key in report["loaded"])
    assert report["interpolated"] == report["missing"] == report["unexpected"] == []
    assert new.mean.flatten().tolist() == pytest.approx(NEW[0]) and new.std.flatten().tolist() == pytest.approx(NEW[1])


@pytest.mark.parametrize(("arch", "head"), [("wrn10_1", "fc"), ("preact_resnet_18", "fc"), ("vgg5", "fc")])
def test_our_own_networks_get_a_head_of_the_new_classes(tmp_path, arch, head):
    old, new = (models.create(arch, classes, 32, *OLD, seed=classes) for classes in (10, 3))
    report = finetune(new, saved(tmp_path / "w.safetensors", old, arch, 10), "new")
    assert report["replaced"] == [f"{head}.weight", f"{head}.bias"]
    assert new(torch.rand(2, 3, 32, 32)).shape == (2, 3)
    same = models.create(arch, 10, 32, *OLD, seed=5).eval()
    assert finetune(same, tmp_path / "w.safetensors", "old")["replaced"] == []
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(same(x), old.eval()(x)), "the head of the same data set is taken over"


def test_a_head_for_another_data_set_of_as_many_classes_stays_fresh(tmp_path):
    old, new = (models.create("resnet8", 10, 32, *OLD, seed=seed) for seed in (0, 1))
    before = entries(new)
    report = finetune(new, saved(tmp_path / "w.safetensors", old, "resnet8", 10), "new")
    assert report["replaced"] == ["fc.weight", "fc.bias"]
    assert torch.equal(entries(new)["fc.weight"], before["fc.weight"])
    assert report["missing"] == report["unexpected"] == []
    assert not set(report["replaced"]) & set(report["loaded"])


@pytest.mark.parametrize(("family", "extra"), [("vit", 1), ("deit", 2), ("cait", 0)])
@pytest.mark.parametrize(("before", "after"), [(32, 48), (64, 32)])
def test_position_embeddings_are_interpolated(tmp_path, family, extra, before, after):
    old, new = classifier(family, 5, before), classifier(family, 7, after, seed=1)
    report = finetune(new, saved(tmp_path / "w.safetensors", old, family, 5, before), "new")
    assert report["interpolated"] == ["pos_embed"] and report["missing"] == report["unexpected"] == []
    given, found = old.network.pos_embed, new.network.pos_embed
    assert found.shape[1] == (after // 16) ** 2 + extra
    assert torch.equal(found[:, :extra], given[:, :extra]), "class and distillation tokens have no place to move"
    grid, old_grid = [after // 16] * 2, [before // 16] * 2
    torch.testing.assert_close(found, resample_abs_pos_embed(given, grid, old_grid, num_prefix_tokens=extra))
    assert new(torch.rand(2, 3, after, after)).shape == (2, 7)


def test_constant_position_embeddings_stay_constant(tmp_path):
    old, new = classifier("cait", 5, 32), classifier("cait", 5, 64, seed=1)
    nn.init.constant_(old.network.pos_embed, 0.25)
    finetune(new, saved(tmp_path / "w.safetensors", old, "cait", 5), "new")
    torch.testing.assert_close(new.network.pos_embed, torch.full_like(new.network.pos_embed, 0.25))


def test_tables_of_relative_positions_go_through_timms_own_rule(tmp_path):
    old, new = classifier("swin", 5, 56), classifier("swin", 7, 112, seed=1)
    tables = [key for key in entries(new) if key.endswith("relative_position_bias_table")]
    differ = [key for key in tables if entries(new)[key].shape != entries(old)[key].shape]
    report = finetune(new, saved(tmp_path / "w.safetensors", old, "swin", 5, 56), "new")
    assert report["interpolated"] == differ and report["missing"] == []
    assert new(torch.rand(1, 3, 112, 112)).shape == (1, 7)


def test_a_restrided_network_starts_from_that_of_224_pixels(tmp_path):
    old = models.create("xcit_small_12_p16_224", 11, 32, *OLD, seed=0)
    new = models.create("xcit_small_12_p4_32", 10, 32, *NEW, seed=1)
    report = finetune(new, saved(tmp_path / "w.safetensors", old, "xcit_small_12_p16_224", 11), "new")
    assert report["replaced"] == ["head.weight", "head.bias"]
    assert len(report["loaded"]) == len(new.network.state_dict()) - 2
    assert new.network.patch_embed.patch_size == 4


def test_a_new_stem_is_missing_and_the_old_one_unexpected(tmp_path):
    from mettle.models.stems import cifar_stem

    old, new = classifier("resnet", 5), classifier("resnet", 7, seed=1)
    cifar_stem(new.network)
    before = entries(new)["conv1.weight"]
    report = finetune(new, saved(tmp_path / "w.safetensors", old, "resnet18", 5), "new")
    assert report["missing"] == report["unexpected"] == ["conv1.weight"]
    assert torch.equal(entries(new)["conv1.weight"], before)


def test_entries_that_only_one_side_has_are_told(tmp_path):
    old, new = classifier("resnet", 5), classifier("resnet", 5, seed=1)
    old.network.register_buffer("more", torch.zeros(3))
    new.network.extra = nn.Linear(2, 2)
    report = finetune(new, saved(tmp_path / "w.safetensors", old, "resnet18", 5), "new")
    assert report["missing"] == ["extra.weight", "extra.bias"] and report["unexpected"] == ["more"]


@pytest.mark.parametrize(("family", "other"), [("resnet", "vit"), ("vit", "swin"), ("convnext", "resnet")])
def test_another_network_is_refused_unchanged(tmp_path, family, other):
    old, new = classifier(other, 5), classifier(family, 5)
    before, name = entries(new), type(new.network).__name__
    with pytest.raises(
        ValueError,
        match=rf"w\.safetensors \({other}\) does not fit {name}: it has \d+ of the \d+ values before the head: "
        r"missing .*; and \d+ more$",
    ):
        finetune(new, saved(tmp_path / "w.safetensors", old, other, 5), "new")
    assert all(torch.equal(value, before[key]) for key, value in entries(new).items())


def test_another_width_is_refused(tmp_path):
    old = Classifier(timm.create_model("resnet18", channels=(4, 4, 4, 4)), *OLD, 32)
    with pytest.raises(
        ValueError,
        match=r"does not fit ResNet: it has \d+ of the \d+ values before the head: "
        r"layer1\.0\.conv1\.weight has shape \(4, 64, 3, 3\), expected \(8, 64, 3, 3\); ",
    ):
        finetune(classifier("resnet", 5), saved(tmp_path / "w.safetensors", old, "thin", 1000), "new")


@pytest.mark.parametrize("name", ["caformer_s18", "repvit_m0_9", "efficientvim_m1", "crossvit_tiny_240", "vgg11"])
def test_the_head_is_found_where_its_name_and_form_differ(name):
    with torch.device("meta"):
        few, many = (timm.create_model(name, num_classes=classes) for classes in (3, 9))
    heads = _heads(Classifier(few, *OLD, 224))
    shapes = {key: value.shape for key, value in many.state_dict().items()}
    differ = {key for key, value in few.state_dict().items() if shapes[key] != value.shape}
    assert differ and differ <= heads
    total = sum(math.prod(shape) for shape in shapes.values())
    assert sum(few.state_dict()[key].numel() for key in heads) < total / 2
