"""What is found before a training starts: BatchNorm without variance, layouts, networks without penultimate vector."""

import numpy as np
import pytest
import torch
from torch import nn
from trainings import one_epoch, recipe, training

from mettle import models
from mettle.models import Architecture, Classifier
from mettle.stages.train.check import check_statistics


class Norm(nn.Module):
    """BatchNorm over a map that has shrunk to one pixel."""

    def __init__(self, kind=nn.BatchNorm2d):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 32), kind(4), nn.Linear(4, 10)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).view(x.size(0), -1))


class Viewed(nn.Module):
    """Flattens a map by `view`."""

    def __init__(self):
        super().__init__()
        self.fc, self.conv = nn.Linear(16, 10), nn.Conv2d(3, 4, 31)

    def forward(self, x):
        return self.fc(self.conv(x).view(x.size(0), -1))


def model(network):
    return Classifier(network, [0.5] * 3, [0.25] * 3, 32)


ONE = "batch_size or accumulate, or the configuration's train.devices$"


@pytest.mark.parametrize(
    ("n", "accumulate", "processes", "batch_norm", "refused"),
    [
        (1, 1, 1, "sync", True),
        (2, 1, 1, "sync", False),
        (3, 2, 1, "sync", True),
        (4, 2, 1, "sync", False),
        (3, 1, 2, "local", True),
        (3, 1, 2, "sync", False),
        (3, 2, 2, "sync", True),
    ],
)
def test_a_pass_of_one_image_is_refused_where_batchnorm_has_one_value(n, accumulate, processes, batch_norm, refused):
    made = model(Norm())
    before = {key: value.clone() for key, value in made.state_dict().items()}
    options = recipe(batch_size=16, accumulate=accumulate, batch_norm=batch_norm)
    if refused:
        told = rf"^batch_size 16, accumulate {accumulate} and {processes} processes leave one image to a pass, .*{ONE}"
        with pytest.raises(ValueError, match=told):
            check_statistics(made, np.arange(n), options, processes)
    else:
        check_statistics(made, np.arange(n), options, processes)
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())


@pytest.mark.parametrize(
    "network", [lambda: Norm(lambda n: nn.GroupNorm(1, n)), lambda: models.build("resnet8", 10, 32)]
)
def test_a_pass_of_one_image_is_taken_where_there_is_variance(network):
    check_statistics(model(network()), np.arange(1), recipe(), 1)


@pytest.fixture
def norm(monkeypatch):
    monkeypatch.setitem(models.ARCHITECTURES, "norm", Architecture(lambda classes, size: Norm(), "", ""))
    return {"arch": "norm", "model": "norm-tiny-s0"}


def test_a_training_says_so_before_its_first_step(stores, norm):
    with pytest.raises(ValueError, match=rf"^recipe 'tiny': batch_size 2, accumulate 1 and 1 processes leave .*{ONE}"):
        training(stores, recipe(batch_size=2, holdout=1), **norm)  # 63 images


def test_a_network_that_flattens_by_view_is_trained(stores, monkeypatch, tmp_path):
    monkeypatch.setitem(models.ARCHITECTURES, "viewed", Architecture(lambda classes, size: Viewed(), "", ""))
    made = training(stores, recipe(), arch="viewed")
    assert made.policy.layout == torch.contiguous_format
    assert 0 <= one_epoch(made, tmp_path)["test_accuracy"] <= 1
    assert training(stores, recipe()).policy.layout == torch.channels_last


def test_a_network_without_penultimate_vector_is_not_trained(stores, monkeypatch):
    made = Architecture(lambda classes, size: nn.Sequential(Norm(), nn.LogSoftmax(1)), "", "")
    monkeypatch.setitem(models.ARCHITECTURES, "norm", made)
    with pytest.raises(
        ValueError,
        match=r"^architecture 'norm': the logits of Sequential are not what its last linear layer \(0\.fc\) makes",
    ):
        training(stores, recipe(), arch="norm")
