"""Folding of batch normalisation: the same answers and gradients, or the model itself."""

import pytest
import torch
from torch import nn

from mettle import models
from mettle.models import Folded, exact, folded

MEAN, STD = [0.5] * 3, [0.25] * 3


def trained(arch):
    """A classifier whose normalisations have seen data, so that folding them changes weights."""
    model = models.create(arch, 10, 32, MEAN, STD, 0).train()
    with torch.no_grad():
        model(torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
    return model.eval()


def batch():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("arch", ["resnet8", "vgg5", "wrn10_1", "resnet18"])
def test_logits_and_gradients_stay(arch):
    model, x = trained(arch), batch()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    quick = folded(model, x[:1])
    assert isinstance(quick, Folded)
    assert exact(quick) is model
    norms = [sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) for net in (quick.fast, model)]
    assert norms[0] < norms[1]
    found, gradients = [], []
    for net in (quick, model):
        y = x.clone().requires_grad_(True)
        logits = net(y)
        found.append(logits)
        gradients.append(torch.autograd.grad(logits[:, 3].sum(), y)[0])
    scale = found[1].abs().max().item()
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5 * scale)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=1e-4 * gradients[1].abs().max().item())
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())


class Branches(nn.Module):
    """Its forward depends on the data."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.bn(self.conv(x)).mean((2, 3)) if x.sum() > 0 else x.mean((2, 3))


class Shared(Branches):
    """What the convolution puts out is used twice."""

    def forward(self, x):
        y = self.conv(x)
        return (self.bn(y) + y).mean((2, 3))


class Draws(Branches):
    """No two answers are the same."""

    def forward(self, x):
        return self.bn(self.conv(x)).mean((2, 3)) + torch.randn(len(x), 4)


def no_pairs():
    """Its normalisations stand before convolutions."""
    return trained("densenet10")


@pytest.mark.parametrize("kind", [Branches, Shared, Draws, no_pairs])
def test_a_model_that_cannot_be_folded_stays_itself(kind):
    model = kind().eval()
    assert folded(model, batch()) is model
    assert exact(model) is model


def test_a_layer_that_is_used_twice_is_not_folded_wrongly():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.conv(self.bn(self.conv(x))).mean((2, 3))

    torch.manual_seed(0)
    model, x = Twice(), batch()
    with torch.no_grad():
        model.train()(x)
        model.eval()
        torch.testing.assert_close(folded(model, x)(x), model(x))
