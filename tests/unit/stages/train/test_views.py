"""PRIME and views in training: where they come in, what they depend on, and one place of normalisation."""

import pytest
import torch
from trainings import SGD, equal, one_epoch, recipe, run, training

from jobs import Job, Killed, killed
from mettle.data.loading import batches
from mettle.models import policy
from mettle.stages.train.views import primed

PRIME = {"crop_padding": 2, "horizontal_flip": True, "prime": {"width": 2, "depth": 2}}
AUGMIX = {"crop_padding": 2, "auto_augment": "augmix-m1-w3"}
VIEWS = {"prime": ({"augment": PRIME}, 1), "jsd": ({"augment": PRIME, "loss": "jsd"}, 3)}
VIEWS |= {"augmix": ({"augment": AUGMIX}, 1), "augmix jsd": ({"augment": AUGMIX, "loss": "jsd"}, 3)}


def seen(made, folder, mode=True):
    """What the model gets in an epoch, and what its network gets for it, in training or evaluation mode."""
    found = []

    def note(module, args, output=None):
        if made.model.training == mode:
            found.append(args[0].detach().clone())

    handles = [module.register_forward_pre_hook(note) for module in (made.model, made.model.network)]
    one_epoch(made, folder)
    for handle in handles:
        handle.remove()
    return found[::2], found[1::2]


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", VIEWS)
def test_images_are_in_the_pixel_range_and_normalised_once_in_training_and_evaluation(stores, tmp_path, name, mode):
    options, views = VIEWS[name]
    made = training(stores, recipe(**options))
    images, inputs = seen(made, tmp_path, mode)
    assert sum(map(len, images)) == (64 * views if mode else 32)
    for batch, entered in zip(images, inputs, strict=True):
        assert 0 <= batch.min() <= batch.max() <= 1
        torch.testing.assert_close(entered, (batch - 0.5) / 0.25)


def test_the_loss_gets_the_image_and_two_views_by_prime(stores, tmp_path):
    made = training(stores, recipe(**VIEWS["jsd"][0]))
    order = made.images.order(0)
    clean = torch.cat([batch for batch, _, _ in batches(made.images.train, order)])
    images, _ = seen(made, tmp_path)
    views = torch.cat(images).unflatten(0, (64, 3))
    torch.testing.assert_close(views[:, 0], clean)
    assert all((views[:, first] - views[:, second]).abs().mean() > 1e-3 for first, second in ((0, 1), (0, 2), (1, 2)))


def test_an_image_changes_by_seed_epoch_and_id_alone():
    x, ids, cpu = torch.rand(6, 3, 16, 16), torch.arange(6) + 50, policy(1)
    augment = recipe(augment=PRIME)["augment"]
    whole = primed(x, ids, augment, 1, (0, 0), cpu)
    torch.testing.assert_close(
        primed(x[[4, 1]], ids[[4, 1]], augment, 1, (0, 0), cpu), whole[[4, 1]], atol=1e-5, rtol=0
    )
    for seed in ((1, 0), (0, 1)):
        assert not torch.allclose(primed(x, ids, augment, 1, seed, cpu), whole, atol=1e-3)
    assert primed(x, ids, recipe()["augment"], 1, (0, 0), cpu) is x
    views = primed(x, ids, augment, 3, (0, 0), cpu)
    assert views.shape == (6, 3, 3, 16, 16)
    assert torch.equal(views[:, 0], x) and torch.equal(views[:, 1], whole)


@pytest.mark.parametrize("name", ["prime", "augmix jsd"])
def test_a_killed_training_goes_on_to_the_same_end(tmp_path, stores, name):
    options = recipe(**VIEWS[name][0], optimizer=SGD | {"lr": 0.01}, epochs=1)
    whole, _ = run(tmp_path / "whole", stores, options)
    with pytest.raises(Killed):
        run(tmp_path / "cut", stores, options, job=Job(2, killed))
    found, _ = run(tmp_path / "cut", stores, options)
    assert equal(found, whole)


def test_parts_of_a_batch_hold_the_images_of_the_whole(stores, tmp_path):
    given = {}
    for parts in (1, 2):
        made = training(stores, recipe(accumulate=parts, augment=PRIME), arch="vgg5")
        images, _ = seen(made, tmp_path / str(parts))
        given[parts] = torch.cat(images).flatten(1)
    apart = torch.cdist(given[1], given[2])
    assert sorted(apart.argmin(1).tolist()) == list(range(64))
    assert apart.min(1).values.max() < 0.1  # of images that are 14 apart
