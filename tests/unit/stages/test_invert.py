"""The invert stage: pairs that all models share, and a store of images that a killed job goes on with."""

import io
import itertools
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mettle import models, tables
from mettle.data import Item, Store, digits, write
from mettle.evaluation import Evaluation
from mettle.stages.invert.descent import invert, relative_distance
from mettle.stages.invert.images import matched, write_inverted
from mettle.stages.invert.pair import pairs

N = 23
KEYS = {"dataset": "digits", "model": "m"}
OPTIONS = {"images": 9, "steps": 6, "step_size": 0.125, "momentum": 0.9, "checkpoint_seconds": 300}
BATCH = 4
MEAN, STD = [0.5] * 3, [0.25] * 3
COMPUTES = "computes on CPU in fp32: 9 images in batches of 4, 1 threads"


class Job:
    """What a running job is to the stage; it can be killed after some batches, or do something at some step."""

    seed, threads, needs_cuda, provenance = 0, 1, False, {"rule": "invert", "revision": 1}

    def __init__(self, killed_after=None, at=None, what=None):
        self.killed_after, self.said = killed_after, []
        self.at, self.what, self.steps = at, what, 0

    def say(self, text):
        self.said.append(text)

    def progress(self, items, text, total=None):
        for number, item in enumerate(items):
            if text == "invert" and number == self.killed_after:
                raise SystemExit(143)
            if text == "inversion":
                if self.steps == self.at:
                    self.what()
                self.steps += 1
            yield item


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "test.lmdb"
    write(path, path.with_suffix(".parquet"), itertools.islice(digits.read(None, "test", 10, 0), N))
    return path


@pytest.fixture(scope="module")
def drawn(store, tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "digits.parquet"
    tables.write(path, tables.PAIRS, pairs(Store(store), 9, 0, {"dataset": "digits", "split": "test"}))
    return path


def saved(folder, change=None):
    model = models.create("resnet8", 10, 32, MEAN, STD, 1)
    if change:
        change(model.network)
    about = {"arch": "resnet8", "classes": 10, "size": 32, "resize": None, "interpolation": "bilinear"}
    path = folder / "weights.safetensors"
    models.save(path, model, about | {"mean": MEAN, "std": STD, "threat": "none", "eps": 0.0})
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("m"))


def run(folder, weights, store, drawn, job=None, precision="fp32", **other):
    """The manifest with all columns, and the bytes of the images."""
    job = job or Job()
    batch = other.pop("batch_size", BATCH)
    evaluation = Evaluation(weights, store, "digits", precision, batch, job)
    written = folder / "inverted.lmdb", folder / "inverted.parquet"
    n = write_inverted(*written, evaluation, drawn, OPTIONS | other, folder / "resume")
    found, frame = Store(written[0]), tables.read(written[1], tables.INVERTED)
    assert n == len(found) == len(frame)
    return frame, [found.data(place) for place in range(n)]


def pixels(store, ids=None):
    held = Store(store)
    places = pd.Index(held.ids).get_indexer(held.ids if ids is None else ids)
    return torch.from_numpy(held.arrays(places)).permute(0, 3, 1, 2).float() / 255


# Pairs


class Labelled:
    """A store of which only the labels are known; its ids start at 100."""

    path = "d/test.lmdb"

    def __init__(self, labels):
        self.labels = np.asarray(labels)
        self.ids = np.arange(100, 100 + len(self))

    def __len__(self):
        return len(self.labels)


def draw(labels, images=10**6, seed=0, dataset="d"):
    return pd.DataFrame(pairs(Labelled(labels), images, seed, {"dataset": dataset, "split": "test"}))


def test_pairs_fit_their_table_and_the_store(store, drawn):
    held, frame = Store(store), tables.read(drawn, tables.PAIRS)
    assert len(frame) == 9 and frame["id"].is_monotonic_increasing and frame["id"].is_unique
    assert frame["label"].tolist() == held.labels[frame["id"]].tolist()
    assert frame["seed_label"].tolist() == held.labels[frame["seed_id"]].tolist()
    assert (frame["label"] != frame["seed_label"]).all()
    assert set(frame["dataset"]) == {"digits"} and set(frame["split"]) == {"test"}


def test_seed_and_data_set_decide_what_is_drawn():
    labels = np.arange(200) % 7
    first = draw(labels, 50)
    pd.testing.assert_frame_equal(first, draw(labels, 50))
    for other in (draw(labels, 50, seed=1), draw(labels, 50, dataset="e")):
        assert other["id"].tolist() != first["id"].tolist()
        assert other["seed_id"].tolist() != first["seed_id"].tolist()


def test_all_images_are_targets_where_no_more_are_asked_for():
    labels = np.arange(30) % 3
    assert draw(labels, 30)["id"].tolist() == draw(labels, 31)["id"].tolist() == list(range(100, 130))


def test_seeds_are_uniform_among_images_of_other_classes():
    # Classes of very different size, in no order; 6,000 draws for each of the three.
    labels = np.random.default_rng(0).permutation([0] * 2 + [4] * 30 + [9] * 8)
    found = pd.concat(draw(labels, seed=seed) for seed in range(3000))
    assert (found["label"] != found["seed_label"]).all()
    for label in (0, 4, 9):
        counts = found[found["label"] == label]["seed_id"].value_counts()
        others, expected = np.flatnonzero(labels != label) + 100, counts.sum() / (labels != label).sum()
        assert sorted(counts.index) == others.tolist()
        assert (abs(counts - expected) < 5 * expected**0.5).all()


def test_a_class_of_one_image_and_two_classes_are_enough():
    found = draw([3] * 20 + [8])
    assert (found["seed_id"][:20] == 120).all() and found["seed_id"].iloc[20] < 120


@pytest.mark.parametrize("labels", [[3], [3] * 5])
def test_images_of_one_class_are_an_error(labels):
    message = rf"^d/test\.lmdb: .* the images of d \({len(labels)} in all\) are of one class$"
    with pytest.raises(ValueError, match=message):
        draw(labels)


# Inverted images


def test_one_image_per_pair_with_what_is_known_of_its_target(tmp_path, weights, store, drawn):
    job = Job()
    frame, data = run(tmp_path, weights, store, drawn, job)
    table, about = tables.read(drawn, tables.PAIRS), Store(store).manifest().set_index("id")
    assert frame["id"].tolist() == table["id"].tolist() and frame["seed_id"].tolist() == table["seed_id"].tolist()
    assert frame["label"].tolist() == table["label"].tolist()
    assert frame["class_name"].tolist() == about["class_name"][table["id"]].tolist()
    for row in frame.itertuples():
        target, seed = about["source"][row.id], about["source"][row.seed_id]
        assert row.source == f"inverted from {target} starting at {seed}"
    assert all(Image.open(io.BytesIO(image)).format == "PNG" for image in data)
    assert not (tmp_path / "resume").exists()
    assert job.said[-1].startswith(f"9 images; mean loss {frame['start_loss'].mean():.4f} at the seeds, ")
    assert frame.attrs["provenance"] == [{"rule": "invert", "revision": 1}]


def test_images_and_losses_are_those_of_the_inversion(tmp_path, weights, store, drawn):
    frame, _ = run(tmp_path, weights, store, drawn, batch_size=9)
    model, policy = models.load(weights)[0], models.policy(1)
    seeds, targets = (policy.move(pixels(store, frame[key])) for key in ("seed_id", "id"))
    known = invert(policy.place(model), seeds, targets, steps=6, step_size=0.125, momentum=0.9, policy=policy)
    stored = Store(tmp_path / "inverted.lmdb").arrays()
    assert np.array_equal(stored, np.rint(known.images.permute(0, 2, 3, 1).numpy() * np.float32(255)).astype(np.uint8))
    for key, value in (("start_loss", known.start), ("loss", known.loss), ("step", known.step)):
        np.testing.assert_allclose(frame[key], value, rtol=1e-5)
    assert (frame["loss"] < frame["start_loss"]).all()
    rounded = relative_distance(model, policy.move(torch.from_numpy(stored).permute(0, 3, 1, 2) / 255), targets, policy)
    assert (rounded < known.start).all() and not torch.equal(rounded, known.loss)


def test_batch_size_does_not_matter(tmp_path, weights, store, drawn):
    found = []
    for batch in (1, 4, 100):
        frame, _ = run(tmp_path, weights, store, drawn, batch_size=batch)
        found.append((frame["loss"], Store(tmp_path / "inverted.lmdb").arrays().astype(int)))
    for loss, images in found[1:]:
        np.testing.assert_allclose(loss, found[0][0], rtol=1e-3)
        assert abs(images - found[0][1]).max() <= 1  # of 255: what lies between two levels can fall to either


def test_a_killed_job_goes_on_and_gives_the_same_bytes(tmp_path, weights, store, drawn):
    whole, once, killed = run(tmp_path, weights, store, drawn), tmp_path / "b", Job(killed_after=2)
    with pytest.raises(SystemExit):
        run(once, weights, store, drawn, killed)
    assert killed.said == [COMPUTES] and not (once / "inverted.lmdb").exists()
    again = Job()
    frame, data = run(once, weights, store, drawn, again)
    assert again.said[0] == "resuming with 2 of 3 batches done"
    pd.testing.assert_frame_equal(frame, whole[0])
    assert data == whole[1]


def killed():
    raise SystemExit(143)


def asked_to_end():
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("what", "seconds", "done"),
    [(killed, 0, 8), (killed, 300, 6), (asked_to_end, 300, 9)],
    ids=["0 s", "300 s", "asked"],
)
def test_a_job_that_ends_within_a_batch_goes_on_and_gives_the_same_bytes(
    tmp_path, weights, store, drawn, what, seconds, done
):
    """It ends in the third of the six steps of the second batch: of three batches in all."""
    whole, once = run(tmp_path, weights, store, drawn), tmp_path / "b"
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="the state is saved" if what is asked_to_end else "143"):
        run(once, weights, store, drawn, Job(at=8, what=what), checkpoint_seconds=seconds)
    assert signal.getsignal(signal.SIGTERM) is handler
    again = Job()
    frame, data = run(once, weights, store, drawn, again)
    assert again.said[0] == "resuming with 1 of 3 batches done" and again.steps == 18 - done
    assert ("resuming in batch 2, after" in " ".join(again.said)) == (done > 6)
    pd.testing.assert_frame_equal(frame, whole[0], check_exact=True)
    assert data == whole[1] and not (once / "resume").exists()


def test_asked_to_end_after_the_last_step_it_ends_before_the_next_batch(tmp_path, weights, store, drawn):
    job = Job(at=5, what=asked_to_end)
    with pytest.raises(SystemExit, match="the state is saved"):
        run(tmp_path, weights, store, drawn, job)
    assert job.steps == 6


def test_batches_of_other_options_or_pairs_are_made_anew(tmp_path, weights, store, drawn):
    for job in (Job(killed_after=1), Job(killed_after=1)):
        with pytest.raises(SystemExit):
            run(tmp_path, weights, store, drawn, job, steps=5)
    assert job.said == ["resuming with 1 of 3 batches done", COMPUTES]
    again = Job()
    run(tmp_path, weights, store, drawn, again)
    assert again.said[0] == COMPUTES and again.steps == 18 and not (tmp_path / "resume").exists()


def test_batches_stay_until_the_store_is_whole(tmp_path, weights, store, drawn, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("mettle.data.write", lambda *args, **options: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            run(tmp_path, weights, store, drawn)
    job = Job()
    run(tmp_path, weights, store, drawn, job)
    assert job.said[0] == "resuming with 3 of 3 batches done"


def test_bf16_gives_other_images_that_are_nearly_as_good(tmp_path, weights, store, drawn):
    exact, _ = run(tmp_path, weights, store, drawn)
    rough, _ = run(tmp_path, weights, store, drawn, precision="bf16")
    assert not np.array_equal(rough["loss"], exact["loss"])
    np.testing.assert_allclose(rough["loss"], exact["loss"], rtol=0.1)


# Errors


def test_a_model_whose_features_are_zero_is_an_error_that_names_all(tmp_path, store, drawn):
    def blank(network):
        torch.nn.init.zeros_(network.stages[-1].bn2.weight)
        torch.nn.init.zeros_(network.stages[-1].shortcut[1].weight)

    zero = saved(tmp_path, blank)
    message = rf"^{zero} on {store}: the model's features of target images .* are all zero, .*\(3 of 3"
    with pytest.raises(ValueError, match=message):
        run(tmp_path, zero, store, drawn)


def test_a_model_that_sees_no_difference_has_nothing_to_gain(tmp_path, store, drawn):
    def blind(network):
        torch.nn.init.zeros_(network.stem[0].weight)
        torch.nn.init.ones_(network.stem[1].bias)

    frame, _ = run(tmp_path, saved(tmp_path, blind), store, drawn)
    assert (frame[["start_loss", "loss", "step"]] == 0).all(axis=None)


def test_a_seed_without_gradient_is_an_error_that_names_all(tmp_path, weights, store, drawn, monkeypatch):
    def stopped(model, images):
        logits, features = both(model, images)
        return logits, features.detach() + 0 * features

    both = models.Classifier.both
    monkeypatch.setattr(models.Classifier, "both", stopped)
    message = rf"^{weights} on {store}: the gradient is exactly zero at the seed of images .*\(3 of 3 "
    with pytest.raises(ValueError, match=message):
        run(tmp_path, weights, store, drawn)


def changed(drawn, path, **columns):
    frame = tables.read(drawn, tables.PAIRS)
    for key, value in columns.items():
        frame.loc[2, key] = value
    tables.write(path, tables.PAIRS, frame)
    return path


def test_pairs_of_other_images_are_an_error(tmp_path, store, drawn):
    path, held = tmp_path / "p.parquet", Store(store)
    row = tables.read(drawn, tables.PAIRS).iloc[2]
    with pytest.raises(ValueError, match=rf"p\.parquet: target 900 of class {row.label} is not in {store}: draw the"):
        matched(changed(drawn, path, id=900), held)
    with pytest.raises(ValueError, match=rf"p\.parquet: seed -1 of class {row.seed_label} is not in {store}: draw"):
        matched(changed(drawn, path, seed_id=-1), held)
    with pytest.raises(ValueError, match=rf"p\.parquet: target {row.id} of class 77 is not in {store}"):
        matched(changed(drawn, path, label=77), held)
    with pytest.raises(ValueError, match=rf"p\.parquet: target {row.id} has a seed of its own class$"):
        matched(changed(drawn, path, seed_id=row.id, seed_label=row.label), held)
    table = tables.read(drawn, tables.PAIRS)
    tables.write(path, tables.PAIRS, table.iloc[[0, 1, 1, 2]])
    with pytest.raises(
        ValueError, match=rf"p\.parquet: target {table['id'][1]} appears twice or out of order: draw the"
    ):
        matched(path, held)
    tables.write(path, tables.PAIRS, table.iloc[:0])
    with pytest.raises(ValueError, match=r"p\.parquet holds no pairs$"):
        matched(path, held)


def test_ids_need_not_count_from_zero(tmp_path, weights):
    items = list(itertools.islice(digits.read(None, "test", 10, 0), 8))
    numbered = [Item(item.data, item.label, item.class_name, item.source, id=5 + 3 * n) for n, item in enumerate(items)]
    write(tmp_path / "odd.lmdb", tmp_path / "odd.parquet", numbered)
    columns = pairs(Store(tmp_path / "odd.lmdb"), 3, 0, {"dataset": "digits", "split": "odd"})
    tables.write(tmp_path / "p.parquet", tables.PAIRS, columns)
    frame, _ = run(tmp_path, weights, tmp_path / "odd.lmdb", tmp_path / "p.parquet", steps=1)
    assert frame["id"].tolist() == columns["id"].tolist() and set(frame["id"]) <= set(range(5, 29, 3))
