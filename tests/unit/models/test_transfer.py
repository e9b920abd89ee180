"""What of a model trains under each way to use its base, and in which mode its modules are."""

import pytest
import timm
import torch
from torch import nn

from mettle import models, schema
from mettle.models import Classifier
from mettle.models.transfer import FIXED, MODES, backbone, freeze, training, without_rate


def made(name="resnet10t", size=32, **options):
    torch.manual_seed(0)
    return Classifier(timm.create_model(name, num_classes=5, **options), [0.5] * 3, [0.5] * 3, size)


SMALL = {
    "resnet10t": {"channels": (8, 8, 8, 8)},
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 8, 8, 8)},
    "deit_tiny_distilled_patch16_224": {"embed_dim": 32, "depth": 1, "num_heads": 2, "img_size": 32},
    "swin_tiny_patch4_window7_224": {"embed_dim": 8, "depths": (1, 1), "num_heads": (1, 1), "img_size": 32},
}
HEADS = {"resnet10t": 2, "convnext_atto": 2, "deit_tiny_distilled_patch16_224": 4, "swin_tiny_patch4_window7_224": 2}


def test_every_mode_of_the_sheet_is_described():
    assert list(MODES) == schema.names("models.transfer")
    assert set(FIXED) < set(MODES)


@pytest.mark.parametrize("name", SMALL)
def test_the_backbone_is_everything_but_the_heads(name):
    model = made(name, **SMALL[name])
    everything, before = list(model.parameters()), {id(parameter) for parameter in backbone(model)}
    assert len(everything) - len(before) == HEADS[name]
    freeze(model, "fixed")
    assert {id(parameter) for parameter in everything if not parameter.requires_grad} == before
    other = made(name, **SMALL[name])
    for transfer in ("full", "fixed_paper", "full_prime"):
        freeze(other, transfer)
        assert all(parameter.requires_grad for parameter in other.parameters())


def test_a_fixed_backbone_is_in_evaluation_mode_while_its_head_trains():
    model = made("convnext_atto", **SMALL["convnext_atto"], drop_path_rate=0.5)
    training(model, "fixed")
    modes = {name for name, module in model.network.named_modules() if module.training}
    assert modes == {"head.fc"}
    for transfer in ("full", "fixed_paper", "full_prime"):
        training(model, transfer)
        assert all(module.training for module in model.modules())


def test_without_a_mode_of_training_batches_change_nothing_of_a_fixed_backbone():
    x = torch.rand(8, 3, 32, 32)
    for transfer, still in (("fixed", True), ("fixed_paper", False), ("full", False)):
        model = made(drop_path_rate=0.5, **SMALL["resnet10t"])
        with torch.no_grad():
            for value in model.network.parameters():
                value.add_(0.1 * torch.rand_like(value))
        freeze(model, transfer)
        training(model, transfer)
        before = {name: value.clone() for name, value in model.named_buffers()}
        torch.manual_seed(1)
        first = model(x)
        assert first.requires_grad
        torch.manual_seed(2)
        assert torch.equal(model(x), first) == still, "drop path, and statistics of BatchNorm"
        assert all(torch.equal(value, before[name]) for name, value in model.named_buffers()) == still


def test_a_learning_rate_of_0_leaks_to_the_position_biases_of_swin():
    model = made("swin_tiny_patch4_window7_224", **SMALL["swin_tiny_patch4_window7_224"])
    still = without_rate(model, "fixed_paper")
    moving = [name for name, value in model.named_parameters() if id(value) not in still]
    assert [name for name in moving if "head" not in name] == [
        f"network.layers.{layer}.blocks.0.attn.relative_position_bias_table" for layer in (0, 1)
    ]
    assert len(moving) == 4
    assert without_rate(model, "full") == without_rate(model, "fixed") == set()


def test_networks_of_ones_own_have_their_last_layer_for_a_head():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8), nn.BatchNorm1d(8), nn.Linear(8, 5))
    model = Classifier(network, [0.5] * 3, [0.5] * 3, 32)
    freeze(model, "fixed")
    training(model, "fixed")
    assert [name for name, value in model.named_parameters() if value.requires_grad] == [
        "network.3.weight",
        "network.3.bias",
    ]
    assert not network[2].training and network[3].training
    assert models.frozen  # flags are restored after an attack
    with models.frozen(model):
        pass
    assert not network[1].weight.requires_grad and network[3].weight.requires_grad
