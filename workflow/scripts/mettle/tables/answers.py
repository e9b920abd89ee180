"""Answers of models to an image by task, from which scores are computed without the model."""

import pyarrow as pa

from mettle.tables.columns import CLASSES, FLOAT, INT, Column, Table, keys


def _lists(of: pa.DataType, text: str, unit: str = "") -> Column:
    return Column(pa.list_(of), text, unit, ragged=True)


_BITS = "bit 10 a + t for range a of areas (all, small, medium, large), threshold t of IoU (0.50, 0.55, ...)"


def _outcomes(kind: str) -> dict[str, Column]:
    """What became of detections by their boxes or masks; those of masks are empty where a model or object has none."""
    return {
        f"{kind}_areas": _lists(pa.float32(), f"area of its {kind}", "pixels"),
        f"{kind}_hits": _lists(pa.int64(), f"where its {kind} finds an object that counts: {_BITS}"),
        f"{kind}_ignored": _lists(pa.int64(), "where it is neither right nor wrong: bits alike"),
    }


ANSWERS: dict[str, dict[str, Column]] = {
    "classification": {
        "label": Column(INT, "true class"),
        "prediction": Column(INT, "predicted class"),
        "loss": Column(FLOAT, "cross-entropy", "nats"),
        "margin": Column(FLOAT, "logit of the true class less the largest other; negative if misclassified", "logits"),
    },
    "segmentation": {
        "loss": Column(FLOAT, "mean cross-entropy of the pixels that count; 0 where none does", "nats"),
        "intersection": Column(CLASSES, "pixels of each class that are predicted as such", "pixels"),
        "predicted": Column(CLASSES, "pixels that are predicted as each class", "pixels"),
        "true": Column(CLASSES, "pixels of each class", "pixels"),
    },
    "detection": {
        "labels": _lists(pa.int32(), "class of each detection, by falling score; 100 of a class at most"),
        "scores": _lists(pa.float32(), "its score"),
        **_outcomes("box"),
        **_outcomes("mask"),
        "true_labels": _lists(pa.int32(), "class of each object"),
        "true_ranges": _lists(
            pa.int8(), "ranges of areas in which it counts (bits: all, small, medium, large); 0 for a crowd"
        ),
    },
    "depth": {
        "valid": Column(INT, "pixels that count: their true depth d is known and in range; p is the predicted depth"),
        "squared_error": Column(FLOAT, "sum of (p - d)^2 over them", "square metres"),
        "relative_error": Column(FLOAT, "sum of |p - d| / d"),
        "relative_squared_error": Column(FLOAT, "sum of (p - d)^2 / d", "metres"),
        "log_difference": Column(FLOAT, "sum of ln p - ln d"),
        "squared_log_difference": Column(FLOAT, "sum of (ln p - ln d)^2"),
        "log10_error": Column(FLOAT, "sum of |log10 p - log10 d|"),
        **{
            f"within_{power}": Column(INT, f"those with max(p / d, d / p) below 1.25^{power}", "pixels")
            for power in (1, 2, 3)
        },
    },
}
# Answers that follow from the targets alone: the same whatever was done to the image.
OF_TARGETS = {"classification": ("label",), "segmentation": ("true",), "depth": ("valid",)}
# Tables of corrupted images by task; severity 0 is the clean image.
CORRUPT = {
    task: Table(
        f"corrupt_{task}",
        f"One row per image, corruption and severity: the answers of a model of {task}. Severity 0 is the clean image.",
        keys("dataset", "split", "model", "corruption", "severity", "id") | columns,
    )
    for task, columns in ANSWERS.items()
}
