"""What a recipe asks for happens: averages, parts of batches, kept weights, second data sets, fine-tuning."""

import itertools
import json

import pytest
import torch
from trainings import ADVERSARIAL, ATTACK, SGD, differing, equal, files, one_epoch, recipe, result, row, run, training

from imports import ROOT
from jobs import Job, Killed, killed
from mettle import models
from mettle.data import digits, write
from mettle.data.loading import ImageSet
from mettle.data.store import Store
from mettle.models.checkpoint import Checkpoint
from mettle.stages.train import LOSSES, Loss, loop, losses, train, validate

ROBUST = {"every": 1, "steps": 3, "images": 20}
EVERYTHING = {
    "loss": "trades",
    "attack": ATTACK | {"schedule": {"shape": "linear", "period": 2, "by": "iteration"}},
    "augment": {"mixup": 0.8, "cutmix": 1.0, "erasing": 0.5, "auto_augment": "rand-m9-mstd0.5-inc1"},
    "accumulate": 2,
    "ema": 0.8,
    "holdout": 10,
    "schedule": {"name": "cosine", "by": "epoch", "warmup_epochs": 1, "cooldown_epochs": 1},
    "optimizer": {"name": "lamb", "lr": 0.01, "weight_decay": 0.02},
    "validation": ROBUST | {"select": "best"},
    "checkpoints": [0, 2],
}


def plain(monkeypatch):
    """A network without BatchNorm and dropout."""

    def build(classes, size, drop_path=0.0):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * size**2, classes))

    monkeypatch.setitem(models.ARCHITECTURES, "plain", models.Architecture(build, "linear", "none"))


# Resuming, with all there is


@pytest.mark.parametrize("step", [1, 5, 9])
def test_with_everything_on_a_killed_training_goes_on_to_the_same_end(tmp_path, stores, step):
    options = recipe(**EVERYTHING)  # three epochs of 54 images, four updates each
    whole, _ = run(tmp_path / "whole", stores, options)
    first = training(stores, options, job=Job(step, killed))
    checkpoint = Checkpoint(tmp_path / "cut" / "resume", first.fingerprint, every=0)
    with pytest.raises(Killed):
        for _ in range(3):
            first.one_epoch(checkpoint)
    train(row(), options, files(stores, tmp_path / "cut", checkpoints=tmp_path / "cut" / "kept"), (job := Job()))
    assert job.steps == 12 - step
    assert equal(result(tmp_path / "cut"), whole)
    train(row(), options, files(stores, tmp_path / "again", checkpoints=tmp_path / "again" / "kept"), Job())
    for name in ("epoch-000.safetensors", "epoch-002.safetensors"):
        found, expected = (models.load(tmp_path / k / "kept" / name)[0].state_dict() for k in ("cut", "again"))
        assert differing(found, expected) == []


# Weights that are kept


def test_checkpoints_of_epochs_are_kept_beside_the_weights(tmp_path, stores):
    options = recipe(epochs=3, checkpoints=[2, 0])
    kept = tmp_path / "kept"
    train(row(), options, files(stores, tmp_path, checkpoints=kept), Job())
    assert sorted(path.name for path in kept.iterdir()) == ["epoch-000.safetensors", "epoch-002.safetensors"]
    assert not (tmp_path / "resume").exists()
    last, about = models.load(kept / "epoch-002.safetensors", arch="resnet8", epoch=2)
    assert about["recipe_sha256"]
    assert differing(last.state_dict(), result(tmp_path)[0]) == []
    first = training(stores, options)
    one_epoch(first, tmp_path / "one")
    assert differing(models.load(kept / "epoch-000.safetensors")[0].state_dict(), first.model.state_dict()) == []


def test_the_folder_of_checkpoints_is_made_even_if_it_stays_empty(tmp_path, stores):
    train(row(), recipe(epochs=1), files(stores, tmp_path, checkpoints=tmp_path / "kept"), Job())
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.parametrize("select", ["best", "last"])
def test_the_best_weights_are_those_of_the_most_robust_epoch(tmp_path, stores, monkeypatch, select):
    values = iter([0.2, 0.6, 0.6, 0.1])
    monkeypatch.setattr(validate, "robust", lambda *_: [0.9, next(values)])
    options = recipe(epochs=4, **ADVERSARIAL, validation=ROBUST | {"select": select}, checkpoints=[1, 3])
    train(row(), options, files(stores, tmp_path, checkpoints=tmp_path / "kept"), Job())
    state, epochs = result(tmp_path)
    best = 1 if select == "best" else 3  # the first of equals
    assert epochs["selected"].tolist() == [epoch == best for epoch in range(4)]
    kept = models.load(tmp_path / "kept" / f"epoch-00{best}.safetensors")[0]
    assert differing(kept.state_dict(), state) == []
    about = models.load(tmp_path / "weights.safetensors")[1]
    assert about["epoch"] == best and about["class_names"] == Store(stores[0]).class_names


def test_without_an_attack_the_best_is_the_most_accurate(tmp_path, stores, monkeypatch):
    values = iter([0.3, 0.5, 0.4])
    monkeypatch.setattr(validate, "evaluate", lambda *_: (1.0, next(values)))
    _, epochs = run(tmp_path, stores, recipe(epochs=3, validation={"select": "best"}))[0]
    assert epochs["selected"].tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"checkpoints": [0, 2, 5]},
            r"^recipe 'tiny': checkpoints: epochs \[2, 5\] are never reached, the last of 2 is 1$",
        ),
        (
            ADVERSARIAL | {"validation": {"select": "best"}},
            r"^recipe 'tiny': validation\.select is 'best', but validation\.every 0 measures none of 2 epochs$",
        ),
        (
            ADVERSARIAL | {"validation": {"select": "best", "every": 3}},
            r"^recipe 'tiny': validation\.select is 'best', but validation\.every 3 measures none of 2 epochs$",
        ),
        ({"holdout": 64}, r"^recipe 'tiny': holdout: 64 of 64 training images leaves none to train on$"),
        (
            {"mix": {"dataset": "other"}},
            r"^recipe 'tiny': a second store of training images goes with the recipe's `mix`",
        ),
        (
            {"augment": {"auto_augment": "rand-x9"}},
            r"^recipe 'tiny': augment\.auto_augment is 'rand-x9', which is not in",
        ),
        (
            {"input": {"size": 24, "mean": [0.5] * 3, "std": [0.25] * 3}},
            r"^recipe 'tiny': .*test\.lmdb holds images of 32x32 pixels, the model takes 24x24: set input\.resize$",
        ),
        (
            {"accumulate": 9},
            r"^recipe 'tiny': a batch of 16 images has no pair of images for each of 9 shares: raise batch_size, or "
            r"lower accumulate or the configuration's train\.devices$",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_training_and_names_recipe_and_key(stores, options, message):
    with pytest.raises(ValueError, match=message):
        training(stores, recipe(**options))


# Validation


def test_robust_accuracy_is_in_the_table_every_few_epochs(tmp_path, stores):
    options = recipe(epochs=4, **ADVERSARIAL, validation=ROBUST | {"every": 2})
    (state, epochs), job = run(tmp_path, stores, options)
    assert epochs["robust_accuracy"].isna().tolist() == [True, False, True, False]
    assert epochs["robust_steps"].dropna().tolist() == [3, 3]
    assert epochs["robust_n"].dropna().tolist() == [20, 20]
    made = training(stores, options)
    made.model.load_state_dict(state)
    where = (made.images.test, made.images.attacked, options["attack"], (1, 3), validate.Passes(made.policy, 16))
    assert validate.robust(made.model, *where) == epochs.iloc[3][["one_step_accuracy", "robust_accuracy"]].tolist()
    assert [", robust " in line for line in job.said[-4:]] == [False, True, False, True]


def test_an_alarm_stands_in_table_and_log(tmp_path, stores, monkeypatch):
    monkeypatch.setattr(validate, "robust", lambda *_: [0.5, 0.3])
    (_, epochs), job = run(tmp_path, stores, recipe(**ADVERSARIAL, validation=ROBUST))
    assert epochs["alarm"].str.startswith("catastrophic overfitting: accuracy 0.500").all()
    assert all("catastrophic overfitting" in line for line in job.said[-2:])


def test_validation_changes_nothing_in_the_training(tmp_path, stores):
    (first, _), _ = run(tmp_path / "a", stores, recipe(**ADVERSARIAL))
    (second, _), _ = run(tmp_path / "b", stores, recipe(**ADVERSARIAL, validation=ROBUST))
    assert differing(first, second) == []


def test_what_the_table_says_of_attack_and_batch(tmp_path, stores):
    attack = ATTACK | {"schedule": {"shape": "linear", "period": 2, "by": "iteration"}}
    _, epochs = run(tmp_path, stores, recipe(epochs=3, **ADVERSARIAL | {"attack": attack}))[0]
    assert epochs["eps"].tolist() == pytest.approx([0.5 * 0.75 / 2, 0.5 * 1.75 / 2, 0.5])
    assert epochs["batch"].tolist() == [16] * 3
    assert epochs["train_clean_accuracy"].isna().all(), "the loss never looks at clean images"
    _, epochs = run(tmp_path / "trades", stores, recipe(**ADVERSARIAL | {"loss": "trades"}))[0]
    # Either may be larger: the attack of TRADES goes by the divergence from the clean answer, right or wrong.
    assert epochs["train_clean_accuracy"].notna().all() and epochs["train_clean_accuracy"].between(0, 1).all()
    _, epochs = run(tmp_path / "standard", stores, recipe())[0]
    assert epochs["eps"].isna().all()
    assert epochs["train_clean_accuracy"].tolist() == epochs["train_accuracy"].tolist()


@pytest.mark.parametrize(("accumulate", "processes", "expected"), [(1, 1, 16), (3, 1, 5), (2, 4, 2), (5, 4, 1)])
def test_validation_takes_as_many_images_at_a_time_as_training(stores, monkeypatch, accumulate, processes, expected):
    found = []
    monkeypatch.setattr(validate, "evaluate", lambda *given: (found.append(given[3].batch_size), (0.0, 0.0))[1])
    monkeypatch.setattr(validate, "robust", lambda *given: (found.append(given[5].batch_size), [0.0, 0.0])[1])
    made = training(stores, recipe(**ADVERSARIAL, validation=ROBUST))
    made.recipe, made.group.size = made.recipe | {"accumulate": accumulate}, processes
    made._tested()
    assert found == [expected] * 2


# Updates


@pytest.mark.parametrize("augment", [{}, {"mixup": 0.8}])
@pytest.mark.parametrize("accumulate", [2, 4])
def test_an_update_in_parts_is_the_update_of_the_whole(stores, tmp_path, monkeypatch, accumulate, augment):
    plain(monkeypatch)
    found = []
    for parts in (1, accumulate):
        made = training(
            stores, recipe(**ADVERSARIAL | {"augment": augment}, batch_size=22, accumulate=parts), arch="plain"
        )
        entries = [one_epoch(made, tmp_path) for _ in range(2)]
        found.append((made.model.state_dict(), entries))
    for key, value in found[0][0].items():
        torch.testing.assert_close(found[1][0][key], value, rtol=1e-4, atol=1e-6)
    for first, second in zip(found[0][1], found[1][1], strict=True):
        assert second["train_loss"] == pytest.approx(first["train_loss"], rel=1e-5)
        assert second["train_accuracy"] == first["train_accuracy"]


def test_the_average_is_what_is_tested_and_saved(stores, tmp_path):
    options = recipe(epochs=1, ema=0.9)
    (state, epochs), _ = run(tmp_path, stores, options)
    made = training(stores, options)
    entry = one_epoch(made, tmp_path / "again")
    assert differing(made.average.model.state_dict(), state) == []
    assert differing(made.model.state_dict(), state)
    assert epochs["test_loss"].tolist() == [entry["test_loss"]]
    passes = validate.Passes(made.policy, 16)
    plain_loss, _ = validate.evaluate(made.model, made.images.test, made.images.tested, passes)
    assert plain_loss != entry["test_loss"]
    (without, _), _ = run(tmp_path / "without", stores, recipe(epochs=1))
    assert differing(made.model.state_dict(), without) == [], "the training itself is the same"


def test_cooldown_epochs_come_at_the_end(stores, tmp_path):
    schedule = {"name": "cosine", "by": "epoch", "cooldown_epochs": 2, "min_lr": 0.001}
    _, epochs = run(tmp_path, stores, recipe(schedule=schedule))[0]
    assert epochs["lr"].tolist() == pytest.approx([0.05, 0.001 + 0.049 / 2, 0.001, 0.001])


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_drop_path_reaches_the_network(stores, rate):
    made = training(stores, recipe(drop_path=rate), arch="xcit_mini")
    found = {module.drop_prob for module in made.model.modules() if type(module).__name__ == "DropPath"}
    assert found == ({rate} if rate else set())


def test_mixing_ends_before_training_does(stores, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setitem(LOSSES, "spy", Loss(spy(seen, LOSSES["standard"].run), "none"))
    augment = {"mixup": 0.8, "epochs_without_mixup": 2}
    run(tmp_path, stores, recipe(epochs=3, loss="spy", augment=augment))
    assert seen == [(0, 2)] * 4 + [(1, 1)] * 4 + [(2, 1)] * 4


def spy(seen, loss):
    def run(model, images, targets, step):
        seen.append((step.epoch, targets.ndim))
        return loss(model, images, targets, step)

    return run


def test_a_loss_knows_where_training_stands(stores, tmp_path, monkeypatch):
    seen = []

    def mine(model, images, targets, step):
        seen.append(step)
        return LOSSES["standard"].run(model, images, targets, step)

    monkeypatch.setitem(LOSSES, "mine", Loss(mine, "none"))
    run(tmp_path, stores, recipe(loss="mine", loss_options={"power": 2}, attack=ATTACK))
    assert [step.epoch for step in seen] == [0] * 4 + [1] * 4
    assert [step.progress for step in seen] == [k / 4 for k in range(8)]
    assert {step.eps for step in seen} == {0.5}
    assert seen[0].recipe["loss_options"] == {"power": 2}
    ids = [torch.cat([step.draws.ids for step in seen[k : k + 4]]) for k in (0, 4)]
    assert sorted(ids[0].tolist()) == sorted(ids[1].tolist()) == list(range(64))
    assert seen[0].draws.seed != seen[4].draws.seed, "another epoch, other draws"


# Other sources


def test_a_second_data_set_is_trained_on(stores, tmp_path):
    items = itertools.islice(digits.read(None, "test", 10, 0), 100, 140)
    write(tmp_path / "other.lmdb", tmp_path / "other.parquet", items)
    options = recipe(epochs=1, mix={"dataset": "other", "ratio": 0.5})
    made = loop.Training(row(), options, *map(Store, stores), Job(), Store(tmp_path / "other.lmdb"))
    assert one_epoch(made, tmp_path)["n"] == 80, "the smaller set, and as many of the other"
    train(row(), options, files(stores, tmp_path, mixed=tmp_path / "other.lmdb"), Job())
    assert differing(result(tmp_path)[0], made.model.state_dict()) == []
    assert training(stores, recipe(epochs=1)).fingerprint != made.fingerprint


def test_parts_of_a_batch_without_images_of_one_of_two_data_sets(stores, tmp_path):
    items = itertools.islice(digits.read(None, "test", 10, 0), 100, 104)
    write(tmp_path / "other.lmdb", tmp_path / "other.parquet", items)
    options = {"mix": {"dataset": "other", "ratio": 0.1}, "augment": {"crop_padding": 2}, "accumulate": 4}
    made = loop.Training(row(), recipe(**options), *map(Store, stores), Job(), Store(tmp_path / "other.lmdb"))
    assert one_epoch(made, tmp_path)["n"] == 4 * 13 + 4, (
        "four batches of 13 and one, as many as the other set has images"
    )


def test_training_starts_from_given_weights(stores, tmp_path):
    base = models.create("resnet8", 7, 32, [0.1] * 3, [0.3] * 3, 5)
    about = {
        "arch": "resnet8",
        "classes": 7,
        "size": 32,
        "resize": None,
        "interpolation": "bilinear",
        "mean": [0.1] * 3,
        "std": [0.3] * 3,
    }
    models.save(tmp_path / "base.safetensors", base, about | {"threat": "none", "eps": 0.0})
    options = recipe(epochs=1, optimizer=SGD | {"lr": 1e-9})
    job = Job()
    train(row(), options, files(stores, tmp_path, base=tmp_path / "base.safetensors"), job)
    model, found = models.load(tmp_path / "weights.safetensors", classes=10, mean=[0.5] * 3)
    own, given = dict(model.named_parameters()), dict(base.named_parameters())
    for name in own:
        if not name.startswith("network.fc"):
            torch.testing.assert_close(own[name], given[name], rtol=0, atol=1e-6)
    assert found["base"].endswith("base.safetensors")
    assert set(found["finetune"]["replaced"]) == {"fc.weight", "fc.bias"}
    assert "base.safetensors: " in job.said[0] and "2 replaced (fc.weight, fc.bias)" in job.said[0]
    bare = training(stores, options)
    with_base = loop.Training(row(), options, *map(Store, stores), Job(), None, [tmp_path / "base.safetensors"])
    assert bare.fingerprint != with_base.fingerprint
    json.dumps(found)


def test_the_held_out_images_are_what_is_tested(stores, tmp_path):
    (state, epochs), _ = run(tmp_path, stores, recipe(epochs=1, holdout=24))
    assert epochs["n"].tolist() == [40]
    made = training(stores, recipe(epochs=1, holdout=24))
    made.model.load_state_dict(state)
    images, labels, _ = ImageSet(Store(stores[0]), 32, None).__getitems__(made.images.tested)
    with torch.inference_mode():
        right = (made.model.eval()(images).argmax(1) == labels).float().mean().item()
    assert epochs["test_accuracy"].tolist() == pytest.approx([right])


def test_the_loss_of_the_documentation_trains(stores, tmp_path, monkeypatch):
    text = (ROOT / "docs" / "training.md").read_text()
    monkeypatch.setitem(LOSSES, "focal", None)  # taken away again afterwards
    exec(text.split("```python\n")[1].split("```")[0], dict(vars(losses)))
    _, epochs = run(tmp_path, stores, recipe(loss="focal"))[0]
    assert epochs["train_loss"].iloc[1] < epochs["train_loss"].iloc[0]
