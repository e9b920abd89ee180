"""Heads of classification on frozen networks: what they compute, and their files."""

import pytest
import timm
import torch
import torch.nn.functional as F

from mettle import models
from mettle.digests import sha256_of
from mettle.models import features, linear
from mettle.models.weights import HEAD, TOKENS, head_state, headed

NORM = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}
BASE = {"arch": "vit_mini", "classes": 4, "size": 16, "resize": None, "interpolation": "bilinear", **NORM}
BASE |= {"threat": "none", "eps": 0.0, "dataset": "d"}
ABOUT = BASE | {"classes": 3, "kind": HEAD, "task": "classification", "method": "linear", "blocks": 2, "average": True}
KNN = ABOUT | {"method": "knn", "blocks": 1, "neighbours": 4, "temperature": 0.1}
IMAGES = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def network(name="vit_mini", size=16):
    torch.manual_seed(0)
    return models.build(name, 4, size).eval()


def by_hand(net, images, blocks, average):
    """Class tokens of the last blocks after the final norm, and the mean of the last patch tokens."""
    x = (images - torch.tensor(NORM["mean"]).view(3, 1, 1)) / torch.tensor(NORM["std"]).view(3, 1, 1)
    seen = []
    hooks = [block.register_forward_hook(lambda block, args, out: seen.append(out)) for block in net.blocks]
    net.forward_features(x)
    for hook in hooks:
        hook.remove()
    last = [net.norm(out) for out in seen[-blocks:]]
    return torch.cat([out[:, 0] for out in last] + [last[-1][:, 1:].mean(1)] * average, dim=1)


@pytest.mark.parametrize(("blocks", "average"), [(1, False), (1, True), (4, True)])
@torch.no_grad()
def test_a_head_sees_normalised_class_tokens_of_the_last_blocks_and_the_mean_of_the_patch_tokens(blocks, average):
    net = network()
    model = linear.create(ABOUT | {"blocks": blocks, "average": average}, net).eval()
    expected = by_hand(net, IMAGES, blocks, average)
    assert expected.shape[1] == linear.width(net, blocks, average=average) == 128 * (blocks + average)
    torch.testing.assert_close(model(IMAGES), model.head(expected))
    logits, seen = model.both(IMAGES)
    torch.testing.assert_close(seen, expected)
    torch.testing.assert_close(model.last(seen), logits)
    model.check("here", 3)


def votes(found, known, labels, k, temperature, classes):
    """Shares of the votes, one image at a time."""
    rows = []
    for image in F.normalize(found):
        cosines = [(float(image @ other), int(label)) for other, label in zip(known, labels, strict=True)]
        nearest = sorted(cosines, reverse=True)[:k]
        weights = [(torch.tensor(cosine / temperature).exp().item(), label) for cosine, label in nearest]
        total = sum(weight for weight, _ in weights)
        rows.append([sum(w for w, label in weights if label == one) / total for one in range(classes)])
    return torch.tensor(rows)


def neighbours():
    model = linear.create(KNN, network(), {"labels": torch.zeros(9)}).eval()
    drawn = torch.Generator().manual_seed(1)
    model.known.copy_(F.normalize(torch.randn(9, 256, generator=drawn)))
    model.labels.copy_(torch.tensor([0, 1, 2] * 3))
    return model


@torch.no_grad()
def test_the_nearest_images_vote_by_their_similarity():
    model = neighbours()
    expected = votes(by_hand(model.network, IMAGES, 1, True), model.known, model.labels, 4, 0.1, 3)
    torch.testing.assert_close(model(IMAGES).exp(), expected, rtol=1e-4, atol=1e-6)
    assert (expected == 0).any() and model(IMAGES).isfinite().all()


def test_gradients_of_votes_reach_the_images_and_are_those_of_finite_differences():
    model, step = neighbours().double(), 1e-6
    images = IMAGES[:1].double().requires_grad_()
    model(images)[0, 1].backward()
    along = torch.randn(images.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.no_grad():
        ends = [model(images + sign * step * along)[0, 1].item() for sign in (1, -1)]
    assert (images.grad * along).sum().item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3)


@pytest.mark.parametrize(
    ("net", "blocks", "message"),
    [
        (lambda: models.build("resnet8", 4, 32), 1, r"^CifarResNet is no vision transformer of timm, so it has no "),
        (lambda: network(), 7, r"^VisionTransformer has 6 blocks, but the recipe's `blocks` asks for 7: lower it$"),
        (
            lambda: timm.create_model("vit_base_patch16_siglip_224", embed_dim=32, depth=1, num_heads=2, img_size=32),
            1,
            r"^VisionTransformer has no class token, which heads of classification are for$",
        ),
    ],
    ids=["not a ViT", "blocks", "no class token"],
)  # fmt: skip
def test_networks_that_a_head_cannot_be_on_are_refused(net, blocks, message):
    with pytest.raises(ValueError, match=message):
        linear.width(net(), blocks, average=True)


# Files


@pytest.fixture
def files(tmp_path):
    """Weights of a base and of tokens for it, and what writes those of a head beside them."""
    paths = {name: tmp_path / name / "weights.safetensors" for name in ("plain", "hard", "mine")}
    for path in paths.values():
        path.parent.mkdir()
    models.save(paths["plain"], models.create("vit_mini", 4, 16, **NORM, seed=0), BASE)
    told = BASE | {"kind": TOKENS, "base": "plain", "base_sha256": sha256_of(paths["plain"]), "position": "end"}
    models.save(paths["hard"], {TOKENS: torch.randn(1, 2, 128)}, told)

    def save(base="plain", change=lambda state: state, **changed):
        about = ABOUT | {"base": base, "base_sha256": sha256_of(paths[base])} | changed
        model = headed(ABOUT, models.load(paths[base])[0].network)
        models.save(paths["mine"], change(head_state(model)), about)
        return paths["mine"], model.eval()

    return save


@pytest.mark.parametrize("base", ["plain", "hard"])
@torch.no_grad()
def test_a_file_of_a_head_is_the_network_of_its_base_with_it_and_holds_nothing_else(files, base):
    path, model = files(base)
    found, about = models.load(path)
    assert {*models.weights.read(path)[0]} == {"head.weight", "head.bias", "mean", "std"} and about["base"] == base
    assert hasattr(found.network, "robustness") == (base == "hard")
    torch.testing.assert_close(found(IMAGES), model(IMAGES))
    assert features.tokens(found.network, IMAGES).shape == (5, 5, 128)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"base_sha256": "0"}, r"mine/weights\.safetensors: its head is for other weights than .* has now: train"),
        ({"change": lambda state: state | {"more": torch.ones(1)}}, r" does not fit VisionTransformer: extra more$"),
        (
            {"change": lambda state: state | {"head.weight": torch.ones(3, 128)}},
            r"head\.weight has shape \(3, 128\), expected \(3, 384\)$",
        ),
    ],
    ids=["hash", "extra", "width"],
)  # fmt: skip
def test_heads_that_do_not_fit_are_refused(files, changed, message):
    path, _ = files(**changed)
    with pytest.raises(ValueError, match=message):
        models.load(path)


def test_a_head_without_its_base_beside_it_is_refused(files):
    path, _ = files()
    (path.parents[1] / "plain" / "weights.safetensors").unlink()
    with pytest.raises(ValueError, match=r": its head is for 'plain', but .* does not exist: make it first$"):
        models.load(path)


@torch.no_grad()
def test_a_network_of_any_size_has_the_same_features_at_its_own(files):
    path = files()[0].parents[1] / "plain" / "weights.safetensors"
    bound, free = models.load(path)[0], models.load(path, any_size=True)[0]
    torch.testing.assert_close(free(IMAGES), bound(IMAGES))
    assert free(torch.rand(1, 3, 24, 40)).shape == (1, 4)
