"""Answers of models to an image by task, from which scores are computed without the model."""

from mettle.tables.columns import CLASSES, FLOAT, INT, Column, Table, keys

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
}
# Tables of corrupted images by task; severity 0 is the clean image.
CORRUPT = {
    task: Table(
        f"corrupt_{task}",
        f"One row per image, corruption and severity: the answers of a model of {task}. Severity 0 is the clean image.",
        keys("dataset", "split", "model", "corruption", "severity", "id") | columns,
    )
    for task, columns in ANSWERS.items()
}
