"""Which images are trained on: held-out ones never are, a second store has its share of every batch."""

import itertools

import numpy as np
import pytest
from trainings import recipe, row

from mettle.data import digits, write
from mettle.data.store import Store
from mettle.stages.train.images import Images, subset


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    items = itertools.islice(digits.read(None, "test", 10, 0), 100, 200)
    write(folder / "train.lmdb", folder / "train.parquet", items)
    return Store(folder / "train.lmdb")


def made(stores, mixed=None, seed=0, **options):
    return Images(row(seed), recipe(**options), *map(Store, stores), mixed)


def test_held_out_images_are_never_trained_on_and_are_those_that_are_tested(stores):
    images = made(stores, holdout=20)
    trained = np.concatenate(images.order(0))
    assert sorted([*trained, *images.tested]) == list(range(64))
    assert len(images.tested) == 20
    assert images.test.store.path == images.train.store.path
    assert not images.test.random
    assert made(stores, holdout=20, seed=5).tested.tolist() == images.tested.tolist(), "the same for every model"


def test_without_holdout_the_test_split_is_tested(stores):
    images = made(stores)
    assert images.test.store.path == stores[1]
    assert images.tested.tolist() == list(range(32))
    assert sorted(np.concatenate(images.order(3))) == list(range(64))


def test_robust_accuracy_is_measured_on_some_of_the_tested_images(stores):
    images = made(stores, holdout=20, validation={"images": 8})
    assert len(images.attacked) == 8
    assert set(images.attacked) < set(images.tested)
    assert made(stores, validation={"images": 1000}).attacked.tolist() == list(range(32))


@pytest.mark.parametrize(("ratio", "first", "second"), [(0.5, 8, 8), (0.3, 12, 4), (0.8, 4, 12)])
def test_a_second_store_has_its_share_of_every_batch(stores, other, ratio, first, second):
    images = made(stores, other, mix={"dataset": "other", "ratio": ratio}, holdout=10)
    batches = images.order(0)
    found = np.array([((batch < 64).sum(), (batch >= 64).sum()) for batch in batches])
    assert (found <= [first, second]).all()
    assert (np.ptp(found, axis=0) <= 1).all(), "nearly equal batches"
    assert len(batches) == min(-(-54 // first), -(-100 // second))
    chosen = np.concatenate(batches)
    assert len(set(chosen)) == len(chosen)
    assert not set(chosen) & set(images.tested)
    assert max(chosen) < 164
    assert any((np.diff((batch >= 64).astype(int)) < 0).any() for batch in batches), "the second set always stands last"
    assert images.order(0)[0].tolist() == batches[0].tolist() != images.order(1)[0].tolist()


def test_batches_of_two_stores_hold_the_images_of_both(stores, other):
    images = made(stores, other, mix={"dataset": "other"})
    batch, labels, ids = images.train.__getitems__([70, 3, 64, 5])
    for k, (store, index) in enumerate([(other, 6), (images.stores[0], 3), (other, 0), (images.stores[0], 5)]):
        expected = np.asarray(store.image(index)).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(batch[k].numpy(), expected, atol=1e-6)
        assert labels[k] == store.labels[index]
    assert ids.tolist() == [-1 - 6, 3, -1, 5], "ids of the second store are told apart"
    assert len(images.train) == 164
    assert len(images.digests) == 3


def test_an_epoch_reaches_both_sets(stores, other):
    images = made(stores, other, mix={"dataset": "other"}, augment={"crop_padding": 2})
    images.train.epoch = 4
    assert [part.epoch for part in images.train.parts] == [4, 4]
    assert images.train.epoch == 4
    assert not images.train.ready


def test_subsets_are_random_ascending_and_always_the_same():
    found = subset(1000, 100, "validation")
    assert found.tolist() == sorted(set(found.tolist()))
    assert found.tolist() == subset(1000, 100, "validation").tolist()
    assert found.tolist() != subset(1000, 100, "holdout").tolist()
    assert 400 < found.mean() < 600
    assert subset(5, 9, "x").tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdout": 64}, r"^holdout: 64 of 64 training images leaves none to train on$"),
        (
            {"mix": {"dataset": "other"}},
            r"^a second store of training images goes with the recipe's `mix`, and only with it$",
        ),
    ],
)
def test_what_cannot_be(stores, options, message):
    with pytest.raises(ValueError, match=message):
        made(stores, **options)


def test_a_share_of_no_image_is_refused(stores, other):
    images = made(stores, other, mix={"dataset": "other", "ratio": 0.01})
    with pytest.raises(ValueError, match=r"^mix\.ratio 0\.01 takes 0 images of a batch of 16: change one of the two$"):
        images.order(0)


@pytest.mark.parametrize("label", [10, -1])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_label_of_no_class_is_refused_before_training(stores, other, place, label):
    held = [*map(Store, stores), Store(other.path)]
    held[place].labels[5] = label
    with pytest.raises(ValueError, match=rf"\.lmdb holds label {label}, but labels of 10 classes are 0 to 9$") as error:
        Images(row(), recipe(mix={"dataset": "other"}), *held)
    assert str(error.value).startswith(str(held[place].path))


@pytest.mark.parametrize("place", [1, 2])
def test_a_class_of_another_name_is_refused_before_training(stores, other, place):
    held = [*map(Store, stores), Store(other.path)]
    held[0].class_names = [*"abcdefghij"]
    held[place].class_names = [*"abcdefgHij"]
    message = (
        rf"^{held[0].path}: class 7 is 'h', but 'H' in {held[place].path}: the two number their classes differently$"
    )
    with pytest.raises(ValueError, match=message):
        Images(row(), recipe(mix={"dataset": "other"}), *held)
