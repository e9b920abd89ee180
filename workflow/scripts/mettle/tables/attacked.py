"""Tables of attacked images by task: the answers of a model to an image before and after an attack."""

from dataclasses import replace

from mettle.tables.answers import ANSWERS, OF_TARGETS
from mettle.tables.columns import FLOAT, INT, RESULT, Column, Table, keys
from mettle.tables.doubts import FLAGS

_KEYS = keys("dataset", "split", "model", "attack", "norm", "eps", "id")
_OF_ATTACKS = {
    "distance": Column(FLOAT, "distance between attacked and clean image in `norm`", "pixel range [0, 1]"),
    "queries": Column(INT, "forward passes of the attack for the image; 0 if its engine counts none"),
    **FLAGS,
    "note": RESULT["note"],
}

ATTACK = Table(
    "attack",
    "One row per image: the model's prediction before and after an attack.",
    _KEYS
    | {
        "label": Column(INT, "true class"),
        "clean_prediction": Column(INT, "predicted class of the clean image"),
        "prediction": Column(INT, "predicted class of the attacked image"),
        "clean_loss": Column(FLOAT, "cross-entropy of the clean image", "nats"),
        "loss": Column(FLOAT, "cross-entropy of the attacked image", "nats"),
        "margin": Column(FLOAT, "true logit less the largest other, attacked image; negative if fooled", "logits"),
    }
    | _OF_ATTACKS,
)


def _table(task: str) -> Table:
    """All answers of a task, those that depend on the model for the clean image, too."""
    answers = {}
    for name, column in ANSWERS[task].items():
        if name not in OF_TARGETS[task]:
            answers[f"clean_{name}"] = replace(column, text=f"of the clean image: {column.text}")
        answers[name] = column
    about = "columns `clean_x` are of the clean image, `x` of the attacked one."
    return Table(
        f"attack_{task}",
        f"One row per image: the answers of a model of {task} before and after an attack; {about}",
        _KEYS | answers | _OF_ATTACKS,
    )


# Models of other tasks cannot be attacked.
ATTACKED = {"classification": ATTACK, "segmentation": _table("segmentation"), "depth": _table("depth")}
