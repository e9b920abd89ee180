"""What an attack sees of a model: passes are counted, success is decided in fp32, NaN is an error."""

import pytest
import torch
from torch import nn

from mettle import models
from mettle.models import Folded, Policy
from mettle.perturb import named
from mettle.perturb.goal import Goal, cross_entropy, targeted, untargeted
from mettle.perturb.oracle import Oracle

CPU = models.policy(1)
BF16 = Policy(torch.device("cpu"), "bf16")


class Scores(nn.Module):
    """The first pixels of an image are its logits."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return self.scale * x[:, 0, 0, :3]


def images(rows):
    x = torch.zeros(len(rows), 3, 4, 4)
    x[:, 0, 0, :3] = torch.tensor(rows)
    return x


def test_gradient_and_value_of_the_objective():
    x, labels, index = images([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]]), torch.tensor([0, 1, 2]), torch.tensor([2, 0])
    oracle = Oracle(Scores(), untargeted(labels), 3, CPU)
    logits, value, gradient = oracle.gradient(x, index, cross_entropy(labels))
    assert logits.equal(x[:, 0, 0, :3])
    expected = torch.stack([nn.functional.cross_entropy(logits[i], labels[index[i]]) for i in range(2)])
    torch.testing.assert_close(value, expected)
    one_hot = nn.functional.one_hot(labels[index], 3)
    torch.testing.assert_close(gradient[:, 0, 0, :3], logits.softmax(1) - one_hot)
    assert not gradient.requires_grad
    assert not value.requires_grad


def test_every_pass_is_counted_on_its_image():
    oracle = Oracle(Scores(), untargeted(torch.tensor([0, 1, 2])), 3, CPU)
    x = images([[1.0, 0, 0]] * 2)
    oracle.logits(x, torch.tensor([0, 2]))
    oracle.gradient(x, torch.tensor([2, 1]), oracle.goal.objective)
    oracle.fooled(x, oracle.logits(x, torch.tensor([1, 2])), torch.tensor([1, 2]))
    assert oracle.queries.tolist() == [1, 2, 3]


def test_success_is_a_mistake_or_a_target():
    index, x = torch.arange(3), images([[0.9, 0.1, 0], [0.1, 0.9, 0], [0.9, 0.1, 0]])
    labels, targets = torch.tensor([0, 0, 2]), torch.tensor([1, 1, 1])
    nothing = Goal(cross_entropy(labels))
    goals = (untargeted(labels), targeted(targets), nothing)
    wanted = ([False, True, True], [False, True, False], [False] * 3)
    for goal, expected in zip(goals, wanted, strict=True):
        oracle = Oracle(Scores(), goal, 3, CPU)
        assert oracle.fooled(x, oracle.logits(x, index), index).tolist() == expected


@pytest.mark.parametrize("kind", ["bf16", "folded"])
def test_success_in_another_precision_or_by_a_copy_is_asked_again(kind):
    # To bf16 the first two logits are equal, and the copy sees things upside down.
    x, labels, index = images([[0.8, 0.8001, 0], [0.2, 0.7, 0]]), torch.tensor([1, 0]), torch.arange(2)
    model, policy = (Scores(), BF16) if kind == "bf16" else (Folded(Scores(-1.0), Scores()), CPU)
    oracle = Oracle(model, untargeted(labels), 2, policy)
    claimed = torch.tensor([[1.0, 1.0, 0], [0.0, 1.0, 0.0]])
    assert oracle.fooled(x, claimed, index).tolist() == [False, True]
    assert oracle.queries.tolist() == [1, 1]
    if kind == "folded":
        assert oracle.logits(x, index).equal(-x[:, 0, 0, :3])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_logits_that_are_not_finite_are_an_error(bad):
    x = images([[0.1, 0.2, 0.3], [0.1, bad, 0.3]])
    for call in ("logits", "gradient"):
        oracle = Oracle(Scores(), untargeted(torch.tensor([0, 1, 2])), 3, CPU, ids=[7, 8, 9])
        more = (oracle.goal.objective,) if call == "gradient" else ()
        with pytest.raises(ValueError, match=r"^the model's logits of image 9 hold NaN or infinite values$"):
            getattr(oracle, call)(x, torch.tensor([0, 2]), *more)


def test_a_gradient_that_is_not_finite_is_an_error():
    class Root(nn.Module):
        def forward(self, x):
            return x[:, 0, 0, :3].sqrt()  # steep without bound at zero

    oracle = Oracle(Root(), untargeted(torch.tensor([0, 0])), 2, CPU)
    with pytest.raises(ValueError, match=r"^the model's gradients of image 1 hold NaN or infinite values$"):
        oracle.gradient(images([[0.5, 0.5, 0.5], [0.5, 0.0, 0.5]])[:, :, :1, :3], torch.arange(2), _sum)


def _sum(logits, index):
    return logits.sum(1)


def test_values_whose_sum_overflows_are_fine():
    x = images([[3e38, 3e38, 0.0]])
    assert Oracle(Scores(), untargeted(torch.tensor([0])), 1, CPU).logits(x, torch.tensor([0])).equal(x[:, 0, 0, :3])


def test_names_of_images():
    ids = torch.arange(10, 20)
    assert named(ids, [3]) == "image 13"
    assert named(ids, [0, 1]) == "images 10, 11"
    assert named(ids, list(range(8))) == "images 10, 11, 12, 13, 14 and 3 more"


def test_a_part_of_a_goal_is_that_of_these_images():
    labels, index, x = torch.tensor([0, 1, 2]), torch.tensor([2, 0]), torch.randn(2, 3)
    part, here = untargeted(labels).take(index), torch.arange(2)
    assert part.objective(x, here).equal(untargeted(labels).objective(x, index))
    assert part.success(x, here).equal(untargeted(labels).success(x, index))
    assert part.labels.tolist() == [2, 0]
    feature = Goal(cross_entropy(labels)).take(index)
    assert feature.success is None and feature.labels is None
