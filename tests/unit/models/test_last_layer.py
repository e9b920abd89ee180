"""The last layer of a network is found by running it; features that do not give the logits are refused."""

import copy

import pytest
import torch
import torch.nn.functional as F
from timm.models.crossvit import CrossVit
from timm.models.metaformer import MetaFormer
from timm.models.repvit import RepVit
from timm.models.volo import VOLO
from torch import nn

from mettle.models import Classifier

MEAN, STD = [0.3, 0.5, 0.6], [0.2, 0.25, 0.3]
REMEDY = r"let its forward end in one nn\.Linear, or in a 1x1 nn\.Conv2d$"


class Net(nn.Module):
    """A body of two layers and a head of 4 classes; more layers stand before or behind it in the registration."""

    def __init__(self, before=(), behind=()):
        super().__init__()
        for name in before:
            setattr(self, name, nn.Linear(6, 4))
        self.head = nn.Linear(6, 4)
        for name in behind:
            setattr(self, name, nn.Linear(6, 4))
        self.stem, self.body = nn.Conv2d(3, 5, 3), nn.Linear(5, 6)

    def features(self, x):
        return self.body(self.stem(x).relu().mean((2, 3))).relu()

    def forward(self, x):
        return self.head(self.features(x))


class Auxiliary(Net):
    """Runs a second classifier as well, whose answer counts in training only."""

    def __init__(self):
        super().__init__(behind=["aux"])

    def forward(self, x):
        y = self.features(x)
        main, aux = self.head(y), self.aux(y)
        return main + aux if self.training else main


class Ensemble(Net):
    """The mean of three heads."""

    def __init__(self):
        super().__init__(before=["one"], behind=["two"])

    def forward(self, x):
        y = self.features(x)
        return (self.head(y) + self.two(2 * y) + self.one(y * y)) / 3


class Views(Net):
    """Its logits are a view of what the head puts out, changed back and forth."""

    def forward(self, x):
        return super().forward(x).view(len(x), 2, 2).transpose(1, 2).contiguous().transpose(1, 2).flatten(1)


class Detached(Net):
    """Lets no gradient through."""

    def features(self, x):
        return super().features(x).detach()


class Bare(Net):
    """Its head has no bias."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 4, bias=False)


class Whole(nn.Module):
    """Ends in a convolution over the whole of the map before it."""

    def __init__(self):
        super().__init__()
        self.head, self.stem = nn.Conv2d(5, 4, 3), nn.Conv2d(3, 5, 3, stride=11)

    def forward(self, x):
        return self.head(self.stem(x)).flatten(1)


def classifier(network):
    torch.manual_seed(0)
    return Classifier(network, MEAN, STD, 32).eval()


def ends_in(model, *names, classes=4):
    model.check("here", classes)
    assert model._heads == list(names)
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        logits, features = model.both(x)
        weight, bias = model._joined()
        torch.testing.assert_close(F.linear(features, weight, bias), logits, rtol=1e-4, atol=1e-5)
    return features


@pytest.mark.parametrize(
    ("network", "names"),
    [
        (lambda: Net(), ["head"]),
        (lambda: Net(behind=["unused"]), ["head"]),
        (Auxiliary, ["head"]),
        (Ensemble, ["one", "head", "two"]),
        (Views, ["head"]),
        (Detached, ["head"]),
        (Bare, ["head"]),
        (Whole, ["head"]),
        (lambda: nn.Sequential(Net()), ["0.head"]),
    ],
)
def test_the_head_is_found_wherever_it_is_registered(network, names):
    ends_in(classifier(network()), *names)


def test_features_are_what_enters_the_head():
    model = classifier(Net(behind=["unused"]))
    x = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(model.both(x)[1], model.network.features((x - model.mean) / model.std))


@pytest.mark.parametrize("zero", [True, False])
def test_heads_of_weight_zero_are_told_apart(zero):
    network = Ensemble()
    for head in (network.one, network.head, network.two):
        (nn.init.zeros_ if zero else nn.init.ones_)(head.weight)
        nn.init.zeros_(head.bias)
    ends_in(classifier(network), "one", "head", "two")


def test_the_search_leaves_modes_flags_and_hooks_alone():
    model = classifier(Auxiliary()).train()
    model.network.stem.weight.requires_grad_(False)
    with torch.inference_mode():
        model.check("here", 4)
    assert all(module.training for module in model.modules())
    assert [name for name, value in model.named_parameters() if not value.requires_grad] == ["network.stem.weight"]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert copy.deepcopy(model)._heads == ["head"]


# timm's own: those with one head are in test_classifier

FOUR = (1, 1, 1, 1)
TIMM = {
    "two heads in one": (RepVit, {"embed_dim": (8,), "depth": (1,)}, ["head.head.l", "head.head_dist.l"]),
    "a head per branch": (
        CrossVit,
        {"img_size": 32, "embed_dim": (12, 24), "depth": [[1, 1, 0]], "num_heads": (1, 1)},
        ["head.0", "head.1"],
    ),
    "a head of two layers": (
        MetaFormer,
        {"depths": FOUR, "dims": (8, 8, 8, 8), "use_mlp_head": True},
        ["head.fc.fc2"],
    ),
}


@pytest.mark.parametrize("kind", TIMM)
def test_heads_of_timm_that_its_get_classifier_does_not_tell(kind):
    network, options, names = TIMM[kind]
    torch.manual_seed(0)
    ends_in(classifier(network(num_classes=7, **options)), *names, classes=7)


def test_a_network_of_timm_that_adds_a_maximum_is_refused():
    small = {"layers": FOUR, "embed_dims": (12, 24, 24, 24), "num_heads": FOUR, "stem_hidden_dim": 8}
    with pytest.raises(ValueError, match=rf"^here: the logits of VOLO are not what its last linear layer .* {REMEDY}"):
        classifier(VOLO(num_classes=7, img_size=32, **small)).check("here", 7)


# Networks without penultimate vector


class Scaled(Net):
    def forward(self, x):
        return 2 * super().forward(x)


class Probabilities(Net):
    def forward(self, x):
        return super().forward(x).softmax(1)


class Functional(Net):
    def forward(self, x):
        return F.linear(self.features(x), self.head.weight, self.head.bias)


class Pooled(nn.Module):
    """The mean of a map of logits."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.head(x).relu().mean((2, 3))


@pytest.mark.parametrize(
    ("kind", "layer"), [(Scaled, "head"), (Probabilities, "head"), (Functional, "body"), (Pooled, "head")]
)
def test_a_network_whose_features_do_not_give_its_logits_is_refused(kind, layer):
    with pytest.raises(
        ValueError,
        match=rf"^here: the logits of {kind.__name__} are not what its last linear layer \({layer}\) makes of its "
        rf"input, the penultimate vector: {REMEDY}",
    ):
        classifier(kind()).check("here", 4)


class Constant(nn.Module):
    def forward(self, x):
        return x.new_zeros(len(x), 4)


class Means(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


@pytest.mark.parametrize("kind", [Constant, Means])
def test_a_network_without_linear_layer_is_refused(kind):
    with pytest.raises(ValueError, match=rf"^here: no linear layer gives the logits of {kind.__name__}: {REMEDY}"):
        classifier(kind()).check("here", 4)


def test_a_network_that_does_not_run_on_its_images_is_told():
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 4))
    with pytest.raises(
        ValueError,
        match=r"^here: Sequential does not run on 3 x 32 x 32 images \(`size` of its recipe or row\): mat1 and ",
    ):
        classifier(network).check("here", 4)
    with pytest.raises(
        ValueError, match=r"^here: Sequential does not run on 3 x 32 x 32 images .*: .* to have 1 channels"
    ):
        classifier(nn.Sequential(nn.Conv2d(1, 4, 32), nn.Flatten())).check("here", 4)
