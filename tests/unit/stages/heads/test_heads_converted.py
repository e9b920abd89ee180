"""Published heads and heads of other rows on a network: what arrives, and what is refused."""

import pytest
import torch
from head_trainings import Job, recipe, row, train

from mettle import models
from mettle.stages.heads import convert


def converted(base, source, target="given", **options):
    path = base.parents[1] / target / "weights.safetensors"
    path.parent.mkdir(exist_ok=True)
    convert(row(model=target, source=str(source)), recipe(**options), base, path, Job())
    return models.load(path)


def linear(width=256, classes=10):
    drawn = torch.Generator().manual_seed(0)
    return {"weight": torch.randn(classes, width, generator=drawn), "bias": torch.randn(classes, generator=drawn)}


def test_an_official_head_arrives_and_says_where_it_is_from(base, tmp_path):
    torch.save(linear(), source := tmp_path / "head.pth")
    model, about = converted(base, source)
    assert torch.equal(model.head.weight, linear()["weight"]) and torch.equal(model.head.bias, linear()["bias"])
    assert about["source"] == str(source) and len(about["sha256"]) == 64 and about["base"] == "plain"
    assert (about["blocks"], about["average"], about["method"]) == (1, True, "linear")


def test_of_a_file_with_many_heads_that_of_the_recipe_is_taken(base, tmp_path):
    name = "classifiers_dict.classifier_{}_blocks_avgpool_{}_lr_{}.linear."
    right, other = linear(128 * 4), linear()
    state = {name.format(4, False, "0_05000") + key: value for key, value in right.items()}
    state |= {name.format(1, True, "0_01000") + key: value + 1 for key, value in other.items()}
    torch.save({"model": state, "iteration": 12500}, source := tmp_path / "model_final.pth")
    model, _ = converted(base, source, blocks=[4], average=[False], lr=[0.05])
    assert torch.equal(model.head.weight, right["weight"])
    with pytest.raises(ValueError, match=r"model_final\.pth: holds no head, `weight` and `bias`, nor one under clas"):
        converted(base, source, lr=[0.025])


def test_a_head_of_another_row_arrives_on_another_network_of_its_shape(some_digits, base):
    state, _, _ = train(some_digits, base, "stock")
    other = base.parents[1] / "other" / "weights.safetensors"
    other.parent.mkdir(exist_ok=True)
    about = models.load(base)[1]
    models.save(other, models.create("vit_mini", 10, 32, about["mean"], about["std"], seed=7), about)
    told = row(model="reused", base="other", source=str(base.parents[1] / "stock/weights.safetensors"))
    path = base.parents[1] / "reused" / "weights.safetensors"
    path.parent.mkdir(exist_ok=True)
    convert(told, recipe(), other, path, Job())
    assert torch.equal(models.load(path)[0].head.weight, state["head.weight"])


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ({"weight": torch.ones(10, 128)}, {}, r"head\.pth: holds no head, `weight` and `bias`, nor one under classif"),
        (linear(128), {}, r"head\.weight has shape \(10, 128\), expected \(10, 256\)$"),
        (linear(classes=4), {}, r"head\.weight has shape \(4, 256\), expected \(10, 256\)"),
        (linear(), {"blocks": [8]}, r"head\.pth: VisionTransformer has 6 blocks, but the recipe's `blocks` asks for "),
    ],
    ids=["no bias", "width", "classes", "blocks"],
)  # fmt: skip
def test_what_does_not_fit_is_refused(base, tmp_path, content, options, message):
    torch.save(content, source := tmp_path / "head.pth")
    with pytest.raises(ValueError, match=message):
        converted(base, source, **options)


def test_a_whole_model_is_no_head_and_a_head_that_sees_something_else_is_not_taken(some_digits, base):
    with pytest.raises(ValueError, match=r"plain/weights\.safetensors: holds no head, but a whole model$"):
        converted(base, base)
    train(some_digits, base, "wide", blocks=[2])
    with pytest.raises(ValueError, match=r": is a head with blocks 2, but the recipe says 1: correct it$"):
        converted(base, base.parents[1] / "wide/weights.safetensors")
