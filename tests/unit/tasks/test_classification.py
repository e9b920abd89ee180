"""Classification: answers in closed form, targets of attacks that are never the true class."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mettle import tables
from mettle.data.item import Item, png
from mettle.data.store import Store, write
from mettle.perturb import Draws
from mettle.tasks.classification import CLASSIFICATION

LOGITS = torch.tensor([[3.0, 1.0, 2.5], [0.0, 5.0, 4.0]])


def aimed_at(aim, logits, labels, draws):
    """The classes that a targeted attack aims at: those whose prediction is its success."""
    goal, index = CLASSIFICATION.aims[aim](logits, labels, draws), torch.arange(len(labels))
    hits = [goal.success(F.one_hot(torch.full_like(labels, k), logits.shape[1]).double(), index) for k in range(10)]
    assert (torch.stack(hits).sum(0) == 1).all()
    return torch.stack(hits).int().argmax(0)


def test_answers_in_closed_form():
    found = CLASSIFICATION.answers(LOGITS, torch.tensor([0, 2]))
    assert found["label"].tolist() == [0, 2]
    assert found["prediction"].tolist() == [0, 1]
    assert found["margin"].tolist() == [0.5, -1.0]
    expected = LOGITS.double().logsumexp(1) - torch.tensor([3.0, 4.0])
    torch.testing.assert_close(found["loss"], expected)


def test_a_table_takes_the_clean_answers_that_it_has_columns_for():
    found = CLASSIFICATION.attacked(LOGITS, -LOGITS, torch.tensor([0, 2]))
    assert set(found) == {"label", "clean_prediction", "prediction", "clean_loss", "loss", "margin"}
    assert set(found) < set(tables.ATTACK.columns)
    assert found["clean_prediction"].tolist() == [0, 1] and found["prediction"].tolist() == [1, 0]


def test_targets_are_the_labels_at_positions_of_a_store(tmp_path):
    items = (Item(png(np.zeros((8, 8, 3), np.uint8)), label, str(label), "made") for label in (2, 0, 1))
    write(tmp_path / "a.lmdb", tmp_path / "a.parquet", items)
    assert CLASSIFICATION.targets(Store(tmp_path / "a.lmdb"), np.array([2, 0])).tolist() == [1, 2]


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_of_the_model(label):
    expected = r"^image 8: the label is none of the model's classes, 0 to 2$"
    with pytest.raises(ValueError, match=expected):
        CLASSIFICATION.check(LOGITS, torch.tensor([0, label]), [7, 8])


def test_success_is_another_class_than_the_true_one():
    goal = CLASSIFICATION.goal(torch.tensor([0, 2]))
    assert goal.success(LOGITS, torch.arange(2)).tolist() == [False, True]


def test_aims_are_never_the_true_class():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(500, 10, generator=generator), torch.randint(10, (500,), generator=generator)
    logits[:100].scatter_(1, labels[:100, None], -99.0)  # the label is the least likely class
    draws = Draws(0, range(1000, 1500))
    for aim in ("random", "least_likely"):
        found = aimed_at(aim, logits, labels, draws)
        assert (found != labels).all()
        half = aimed_at(aim, logits[250:], labels[250:], Draws(0, range(1250, 1500)))
        assert torch.equal(half, found[250:]), "a target depends on the other images of its batch"
    least = aimed_at("least_likely", logits, labels, draws)
    rank = (logits < logits.gather(1, least[:, None])).sum(1)
    assert set(rank[:100].tolist()) == {1}
    assert rank[100:].max() <= 1
    drawn = aimed_at("random", logits, labels, draws)
    counts = torch.bincount((drawn - labels) % 10, minlength=10)
    assert counts[0] == 0
    assert counts[1:].min() > 30, "not uniform over the other classes"
    assert not torch.equal(drawn, aimed_at("random", logits, labels, Draws(1, range(1000, 1500))))


@pytest.mark.parametrize("aim", ["random", "least_likely"])
def test_two_classes_leave_one_to_aim_at(aim):
    labels = torch.tensor([0, 1, 1, 0])
    goal = CLASSIFICATION.aims[aim](torch.zeros(4, 2), labels, Draws(0, range(4)))
    assert goal.success(F.one_hot(1 - labels, 2), torch.arange(4)).all()
