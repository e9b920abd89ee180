"""Segmentation: pixels counted per image, and scores from them that are mmsegmentation's."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from mettle.data import Store, write
from mettle.data.item import Item, Targets, png
from mettle.data.targets import Expected
from mettle.tables import ANSWERS, DENSE_MANIFEST
from mettle.tasks import scores
from mettle.tasks.scores import SCORES
from mettle.tasks.segmentation import SEGMENTATION

CLASSES, IGNORED = 5, 255


def outputs(n=6, size=(7, 9), seed=0):
    return torch.randn(n, CLASSES, *size, generator=torch.Generator().manual_seed(seed))


def targets(n=6, size=(7, 9), seed=1, classes=CLASSES - 1):
    """Label maps without the last class, some pixels of which are ignored."""
    drawn = torch.Generator().manual_seed(seed)
    found = torch.randint(0, classes, (n, *size), generator=drawn)
    return torch.where(torch.rand(n, *size, generator=drawn) < 0.2, IGNORED, found)


def frame(logits, labels):
    found = SEGMENTATION.answers(logits, labels)
    return pd.DataFrame({key: list(value.numpy()) for key, value in found.items()})


def test_pixels_are_counted_where_they_are_not_ignored():
    logits, labels = outputs(), targets()
    found, predicted = SEGMENTATION.answers(logits, labels), logits.argmax(1)
    assert list(found) == list(ANSWERS["segmentation"])
    for image in range(len(labels)):
        counts = labels[image] != IGNORED
        for label in range(CLASSES):
            true, said = (labels[image] == label) & counts, (predicted[image] == label) & counts
            assert found["true"][image, label] == true.sum() and found["predicted"][image, label] == said.sum()
            assert found["intersection"][image, label] == (true & said).sum()


def test_the_loss_is_the_mean_over_the_pixels_that_count():
    logits, labels = outputs(), targets()
    labels[2] = IGNORED
    found = SEGMENTATION.answers(logits, labels)["loss"]
    for image in range(len(labels)):
        own = F.cross_entropy(logits[image : image + 1].double(), labels[image : image + 1], ignore_index=IGNORED)
        assert found[image].item() == (0 if image == 2 else pytest.approx(own.item(), rel=1e-6))


def mmseg(logits, labels):
    """mIoU, mAcc and aAcc as fractions, and the class IoUs, by mmsegmentation."""
    from mettle.models.adapters import operators
    from mettle.models.adapters.quiet import quiet

    operators.register()
    with quiet():
        from mmseg.evaluation import IoUMetric

        metric = IoUMetric(iou_metrics=["mIoU"])
        metric.dataset_meta = {"classes": [str(label) for label in range(CLASSES)]}
        parts = [
            metric.intersect_and_union(found.argmax(0), label, CLASSES, IGNORED)
            for found, label in zip(logits, labels, strict=True)
        ]
        found = metric.compute_metrics(parts)
    return {name: found[key] for name, key in (("miou", "mIoU"), ("macc", "mAcc"), ("aacc", "aAcc"))}


@pytest.mark.parametrize("classes", [CLASSES, CLASSES - 1, 2])
def test_scores_are_those_of_mmsegmentation(classes):
    logits, labels = outputs(seed=2), targets(classes=classes)
    answers, expected = frame(logits, labels), mmseg(logits, labels)
    for measure, value in expected.items():
        found = SCORES["segmentation"][measure].value(answers)
        assert found == pytest.approx(value / 100, abs=5.1e-5)  # it rounds to two digits
    alone = [mmseg(logits[k : k + 1], labels[k : k + 1])["miou"] for k in range(len(labels))]
    found = SCORES["segmentation"]["miou_per_image"].value(answers)
    assert found == pytest.approx(np.mean(alone) / 100, abs=5.1e-5)


def test_scores_by_hand():
    answers = pd.DataFrame(
        {
            "intersection": [np.array([2, 0, 0]), np.array([1, 3, 0])],
            "predicted": [np.array([4, 0, 0]), np.array([1, 3, 0])],
            "true": [np.array([2, 2, 0]), np.array([1, 3, 0])],
        }
    )
    found = {measure: score.value(answers) for measure, score in SCORES["segmentation"].items()}
    assert found == {
        "miou": pytest.approx((3 / 5 + 3 / 5) / 2),
        "macc": pytest.approx((3 / 3 + 3 / 5) / 2),
        "aacc": pytest.approx(6 / 8),
        "miou_per_image": pytest.approx(((2 / 4 + 0 / 2) / 2 + 1) / 2),
    }


@pytest.mark.parametrize("measure", SCORES["segmentation"])
def test_weights_of_images_are_as_good_as_copies(measure):
    answers = frame(outputs(4), targets(4))
    weights = np.array([[2, 0, 1, 1], [0, 3, 0, 1], [4, 0, 0, 0]], dtype=np.float32)
    score = SCORES["segmentation"][measure]
    copies = [score.value(answers.loc[np.repeat(np.arange(4), row.astype(int))]) for row in weights]
    np.testing.assert_allclose(score.of(answers, weights), copies)


def test_without_a_pixel_that_counts_a_score_is_undefined():
    answers = frame(outputs(2), torch.full((2, 7, 9), IGNORED))
    assert all(np.isnan(score.value(answers)) for score in SCORES["segmentation"].values())
    assert scores.main("segmentation").measure == "miou"


def test_targets_are_label_maps_of_a_store(tmp_path):
    maps = [np.full((4, 6), k, np.uint8) for k in range(3)]
    items = [
        Item(png(np.zeros((4, 6, 3), np.uint8)), None, "", f"made {k}", targets=Targets(m)) for k, m in enumerate(maps)
    ]
    paths = tmp_path / "a.lmdb", tmp_path / "a.parquet"
    write(*paths, items, table=DENSE_MANIFEST, expected=Expected(("label_map",), map_classes=3))
    found = SEGMENTATION.targets(Store(paths[0]), np.array([2, 0]))
    assert found.dtype == torch.int64 and found.shape == (2, 4, 6) and found[:, 0, 0].tolist() == [2, 0]


def test_label_maps_that_do_not_fit_are_refused():
    SEGMENTATION.check(outputs(), targets(), range(6))
    wrong = targets()
    wrong[4, 0, 0] = 7
    with pytest.raises(ValueError, match=r"4.*have the values 7, 255, which are none of the model's classes, 0 to 4"):
        SEGMENTATION.check(outputs(), wrong, range(6))
    with pytest.raises(ValueError, match=r"logits are of \(7, 9\) pixels, label maps of \(7, 8\)"):
        SEGMENTATION.check(outputs(), targets()[..., :8], range(6))


def test_an_attack_raises_the_mean_loss_of_the_pixels_that_count():
    logits, labels = outputs(), targets()
    goal = SEGMENTATION.goal(labels)
    found = goal.objective(logits[1:3], torch.tensor([1, 2]))
    torch.testing.assert_close(found.double(), SEGMENTATION.answers(logits, labels)["loss"][1:3])
    assert goal.success is None
