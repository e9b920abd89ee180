"""Training of heads: a sweep is its heads one by one, the best is kept, a stopped training resumes to the same."""

import pytest
import torch
import torch.nn.functional as F
from head_trainings import Job, recipe, row, train

from mettle import models
from mettle.data.loading import evaluation_images, shuffled
from mettle.data.store import Store
from mettle.models.linear import joined, last_blocks
from mettle.stages.heads.sweep import Heads, Setting

SWEEP = {"lr": [0.05, 0.5], "blocks": [1, 3], "average": [True, False], "holdout": 24}


@pytest.fixture(scope="module")
def swept(some_digits, base):
    return train(some_digits, base, "swept", **SWEEP)


def features(store, base, blocks=1):
    model, about = models.load(base)
    images, labels, _ = evaluation_images(Store(store), about).__getitems__(range(len(Store(store))))
    with torch.no_grad():
        return last_blocks(model, images, blocks), labels


def test_a_head_learns_and_the_base_is_left_alone(some_digits, base):
    before = base.read_bytes()
    state, about, table = train(some_digits, base, "learned", steps=150)
    assert base.read_bytes() == before and {*state} == {"head.weight", "head.bias", "mean", "std"}
    found, labels = features(some_digits, base)
    model, _ = models.load(base.parents[1] / "learned/weights.safetensors")
    right = (model.head(joined(*found, 1, average=True)).argmax(1) == labels).float().mean()
    assert right > 0.6 and about["kind"] == "head" and about["base"] == "plain"
    assert table["chosen"].tolist() == [True] and table["accuracy"].isna().all() and table["n"].tolist() == [0]
    assert (about["classes"], about["size"], about["mean"]) == (10, 32, [0.5] * 3)


def test_a_sweep_gives_every_head_the_weights_that_it_has_alone(some_digits, base):
    """Against torch's SGD with the learning rate of each head, from the same initial weights and batches."""
    (tokens, mean), labels = features(some_digits, base, 3)
    heads = Heads([1, 3], [True, False], [0.05, 0.5], 128, 10, seed=3)
    optimizer = torch.optim.SGD(heads.parameters(), lr=1.0, momentum=0.9)
    alone = []
    for index, setting in enumerate(heads.settings):
        weight, bias = (part.clone().requires_grad_() for part in heads.head(index))
        alone.append((setting, weight, bias, torch.optim.SGD([weight, bias], lr=setting.lr, momentum=0.9)))
    for step, chosen in enumerate(shuffled(96, 16, 0, 0)):
        scale = 1 / (1 + step)
        optimizer.param_groups[0]["lr"] = scale
        optimizer.zero_grad()
        heads.loss(heads.losses(tokens[chosen], mean[chosen], labels[chosen])).backward()
        optimizer.step()
        for setting, weight, bias, own in alone:
            own.param_groups[0]["lr"] = scale * setting.lr
            own.zero_grad()
            seen = joined(tokens[chosen], mean[chosen], setting.blocks, average=setting.average)
            F.cross_entropy(seen @ weight.T + bias, labels[chosen]).backward()
            own.step()
    for index, (_, weight, bias, _) in enumerate(alone):
        torch.testing.assert_close(heads.head(index), (weight.detach(), bias.detach()), rtol=1e-4, atol=1e-6)


def test_the_best_head_on_held_out_images_is_kept(some_digits, base, swept):
    state, about, table = swept
    assert len(table) == 8 and table["chosen"].sum() == 1 and (table["n"] == 24).all()
    best = table[table["chosen"]].iloc[0]
    assert best["accuracy"] == table["accuracy"].max()
    assert (about["blocks"], about["average"]) == (best["blocks"], best["average"])
    assert state["head.weight"].shape == (10, 128 * (best["blocks"] + best["average"]))
    assert table["lr"].tolist() == pytest.approx([0.05 / 16, 0.5 / 16] * 4), "scaled by 16 of 256 images"
    assert best["head"] == Setting(best["blocks"], best["average"], best["lr"]).name
    assert sorted(table["blocks"].unique()) == [1, 3] and table["average"].sum() == 4


@pytest.mark.parametrize("augment", [{}, {"horizontal_flip": True}], ids=["once", "changed"])
def test_a_training_that_is_stopped_resumes_to_the_same_head(some_digits, base, augment):
    expected, _, table = train(some_digits, base, f"whole{len(augment)}", augment=augment)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(some_digits, base, f"parts{len(augment)}", Job(at=9, what=stop), augment=augment)
    job = Job()
    found, _, again = train(some_digits, base, f"parts{len(augment)}", job, augment=augment)
    assert all(torch.equal(found[key], expected[key]) for key in expected) and again.equals(table)
    assert job.said[0] == "resuming from step 9" and job.steps == 11


def test_seeds_and_random_changes_make_other_heads(some_digits, base):
    expected, _, _ = train(some_digits, base, "here")
    seeded, _, _ = train(some_digits, base, "seed", told=row(seed=1))
    changed, _, _ = train(some_digits, base, "flipped", augment={"horizontal_flip": True})
    again, _, _ = train(some_digits, base, "again")
    weights = [state["head.weight"] for state in (expected, seeded, changed, again)]
    assert torch.equal(weights[3], weights[0])
    assert not torch.equal(weights[1], weights[0]) and not torch.equal(weights[2], weights[0])


@torch.no_grad()
def test_nearest_neighbours_are_the_features_of_all_training_images(some_digits, base):
    knn = {"method": "knn", "neighbours": 5, "lr": [0.01]}
    state, about, table = train(some_digits, base, "near", **knn)
    (found, labels), model = features(some_digits, base), models.load(base.parents[1] / "near/weights.safetensors")[0]
    torch.testing.assert_close(state["known"], F.normalize(joined(*found, 1, average=True)))
    assert torch.equal(state["labels"], labels) and table["head"].tolist() == ["knn"] and table["lr"].isna().all()
    images, _, _ = evaluation_images(Store(some_digits), about).__getitems__(range(96))
    assert (model(images).argmax(1) == labels).float().mean() > 0.5
    assert about["neighbours"] == 5 and "lr" not in about


@pytest.mark.parametrize(
    ("told", "other", "message"),
    [
        ({"classes": 4}, {}, r"train\.lmdb holds label \d, but labels of 4 classes are 0 to 3$"),
        ({}, {"holdout": 96}, r"^holdout: 96 of 96 training images leaves none to train on$"),
        ({}, {"blocks": [9]}, r"^VisionTransformer has 6 blocks, but the recipe's `blocks` asks for 9: lower it$"),
        ({}, {"lr": [3e38], "scaling": "none"}, r"^head of mine: the loss at learning rate 3e\+38 is not finite at st"),
    ],
    ids=["labels", "holdout", "blocks", "loss"],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused(some_digits, base, told, other, message):
    with pytest.raises(ValueError, match=message):
        train(some_digits, base, "refused", told=row(**told), **other)


def test_recipes_have_the_settings_of_the_study():
    full = recipe(blocks=[1, 4], average=[True, False], lr=[k / 100 for k in range(1, 14)], holdout=1)
    heads = Heads(full["blocks"], full["average"], full["lr"], 8, 3, 0)
    assert len(heads.settings) == len({setting.name for setting in heads.settings}) == 52
    assert sum(value.numel() for value in heads.weights) == 13 * 3 * 8 * (2 + 1 + 5 + 4)
