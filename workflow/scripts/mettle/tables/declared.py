"""The tables of the workflow: columns with type, meaning and unit, key columns first and in one order."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """Type and meaning of a column; `unit` is empty for names and plain counts."""

    type: pa.DataType
    text: str
    unit: str = ""
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """Name, one-line description, and columns in order."""

    name: str
    text: str
    columns: Mapping[str, Column]


_STR, _INT, _FLOAT, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
# A vector column: every row holds as many float32 values as the first; written as a fixed-size list.
VECTOR = pa.list_(pa.float32())

KEYS = {
    "dataset": Column(_STR, "data set, a row of datasets.tsv"),
    "images": Column(_STR, "image set: `natural`, or `inverted-{model}`"),
    "split": Column(_STR, "part of the data set"),
    "subgroup": Column(_STR, "images of a pair of models on which the score was computed"),
    "model": Column(_STR, "model, a row of models.tsv"),
    "model_b": Column(_STR, "the other model of the pair"),
    "layer": Column(_STR, "layer whose output was compared"),
    "task": Column(_STR, "task"),
    "mode": Column(_STR, "way of transfer"),
    "attack": Column(_STR, "attack, a key of `attacks` in the configuration; `clean` for none"),
    "norm": Column(_STR, "norm of the ball: `l2` or `linf`", nullable=True),
    "eps": Column(_FLOAT, "radius of the ball", "pixel range [0, 1]", nullable=True),
    "corruption": Column(_STR, "corruption"),
    "severity": Column(_INT, "severity of the corruption, 1 to 5"),
    "measure": Column(_STR, "what was measured"),
    "id": Column(_INT, "image, the key in the data set's store"),
}
RESULT = {
    "n": Column(_INT, "number of images (or pairs) the value rests on"),
    "value": Column(_FLOAT, "the measurement", nullable=True),
    "lo": Column(_FLOAT, "lower end of the interval named in the table's description", nullable=True),
    "hi": Column(_FLOAT, "upper end of that interval", nullable=True),
    "note": Column(_STR, "why a value is missing, or a warning; null when there is nothing to say", nullable=True),
}


def keys(*names: str) -> dict[str, Column]:
    """Key columns of these names, in the order all tables share."""
    return {name: KEYS[name] for name in KEYS if name in names}


_BOX = pa.struct(
    [
        ("label", pa.int64()),
        ("x0", pa.int64()),
        ("y0", pa.int64()),
        ("x1", pa.int64()),
        ("y1", pa.int64()),
        ("depth", pa.int64()),
        ("mask", pa.binary()),
    ]
)

MANIFEST = Table(
    "manifest",
    "One row per image of a store, in the order of the store's keys.",
    keys("id")
    | {
        "label": Column(_INT, "class index, from 0"),
        "class_name": Column(_STR, "name of the class"),
        "source": Column(_STR, "where the image came from: file, archive member, or generator and seed"),
        "sha256": Column(_STR, "SHA-256 of the stored bytes"),
        "objects": Column(
            pa.list_(_BOX),
            "objects in the image where known, nearest first: class, box [x0, x1) x [y0, y1) in pixels, depth order "
            "(0 is nearest), visible mask as a one-bit PNG",
            nullable=True,
        ),
    },
)

EPOCHS = Table(
    "epochs",
    "One row per training epoch.",
    keys("model")
    | {
        "epoch": Column(_INT, "epoch, from 0"),
        "lr": Column(_FLOAT, "learning rate at the end of the epoch"),
        "eps": Column(
            _FLOAT, "radius of the training attack at the last update of the epoch", "pixel range [0, 1]", nullable=True
        ),
        "batch": Column(_INT, "nominal images per update, over all processes"),
        "train_loss": Column(_FLOAT, "mean training loss (on attacked images for adversarial training)", "nats"),
        "train_accuracy": Column(_FLOAT, "accuracy on the training images as the loss saw them", "fraction"),
        "train_clean_accuracy": Column(
            _FLOAT, "accuracy on the training images before the attack, where the loss looks at them", "fraction", True
        ),
        "test_loss": Column(_FLOAT, "mean clean loss on held-out images", "nats", nullable=True),
        "test_accuracy": Column(_FLOAT, "clean accuracy on held-out images", "fraction", nullable=True),
        "test_n": Column(_INT, "held-out images that these two rest on", nullable=True),
        "one_step_accuracy": Column(
            _FLOAT, "accuracy on held-out images under one step of PGD at full eps, last iterate", "fraction", True
        ),
        "robust_accuracy": Column(
            _FLOAT, "accuracy on them under `robust_steps` steps of PGD at full eps, last iterate", "fraction", True
        ),
        "robust_steps": Column(_INT, "steps of PGD", nullable=True),
        "robust_n": Column(_INT, "images that the two accuracies rest on", nullable=True),
        "alarm": Column(_STR, "catastrophic overfitting: the two accuracies part", nullable=True),
        "selected": Column(_BOOL, "whether the weights that were kept are those of this epoch"),
        "n": Column(_INT, "training images seen in the epoch"),
    },
)

ATTACK = Table(
    "attack",
    "One row per image: the model's answer before and after an attack.",
    keys("dataset", "split", "model", "attack", "norm", "eps", "id")
    | {
        "label": Column(_INT, "true class"),
        "clean_prediction": Column(_INT, "predicted class of the clean image"),
        "prediction": Column(_INT, "predicted class of the attacked image"),
        "clean_loss": Column(_FLOAT, "cross-entropy of the clean image", "nats"),
        "loss": Column(_FLOAT, "cross-entropy of the attacked image", "nats"),
        "margin": Column(_FLOAT, "true logit less the largest other, attacked; negative is fooled", "logits"),
        "distance": Column(_FLOAT, "distance of attacked and clean image in `norm`", "pixel range [0, 1]"),
        "queries": Column(_INT, "forward passes spent on the image by the attack; 0 where its engine does not count"),
        "gradient_zero": Column(_BOOL, "whether the gradient of the cross-entropy is exactly zero at the clean image"),
        "randomised": Column(_BOOL, "whether two passes over the clean image differ by more than rounding"),
        "probabilities": Column(_BOOL, "whether the logits of the clean image are none negative and sum to 1"),
        "note": RESULT["note"],
    },
)

REPRESENT = Table(
    "represent",
    "One row per image: what a model makes of it.",
    keys("dataset", "images", "model", "id")
    | {
        "label": Column(_INT, "true class"),
        "prediction": Column(_INT, "predicted class"),
        "logits": Column(VECTOR, "one logit per class"),
        "features": Column(VECTOR, "penultimate vector: the input of the last linear layer"),
    },
)

_METHOD = Column(_STR, "measure's function, a key of mettle.measures.MEASURES")

COMPARE = Table(
    "compare",
    "Similarity of two models on the same images. No interval.",
    keys("dataset", "images", "model", "model_b", "norm", "eps", "measure") | RESULT | {"method": _METHOD},
)

SUBGROUPS = Table(
    "subgroups",
    "Similarity of two models on the images where they agree and where they disagree. `*_matched` is the larger group "
    "drawn down to the size of the smaller, mean over draws; lo and hi are the smallest and largest draw.",
    keys("dataset", "images", "subgroup", "model", "model_b", "norm", "eps", "measure") | RESULT | {"method": _METHOD},
)

FIG5 = Table(
    "fig5",
    "Rows of `subgroups` for the pairs that figure 5 shows, then a row per contrast (model is `all`): value is the "
    "mean paired difference over pairs, lo and hi its 95 % bootstrap interval, p of a paired permutation test.",
    SUBGROUPS.columns | {"p": Column(_FLOAT, "two-sided p-value", "probability", nullable=True)},
)

ACCURACY = Table(
    "accuracy",
    "Clean and attacked accuracy; lo and hi are the 95 % Wilson interval.",
    keys("dataset", "split", "model", "attack", "norm", "eps", "measure") | RESULT,
)

_FROM = {"source": Column(_STR, "`here`, or where a published value stands")}
_RUN = {
    "epoch": Column(_INT, "training epoch of the weights, from 0"),
    "steps": Column(_INT, "steps of PGD; 0 is the clean image (accuracy) or the random start (loss)"),
    "seed": Column(_INT, "seed of the random start"),
}

EFFECTIVENESS = Table(
    "effectiveness",
    "Accuracy and mean loss under PGD by training epoch, steps and seed: last iterate, step 1.5 eps / steps, random "
    "start; lo and hi are the 95 % Wilson interval of an accuracy.",
    keys("dataset", "split", "model", "norm", "eps", "measure") | _RUN | RESULT,
)

FIG7 = Table(
    "fig7",
    "Rows of figure 7: means of `effectiveness` over seeds, lo and hi the smallest and largest seed; `gap` is what the "
    "loss lacks to that of the most steps, as a fraction of it.",
    keys("dataset", "model", "norm", "eps", "measure")
    | {key: _RUN[key] for key in ("epoch", "steps")}
    | RESULT
    | _FROM,
)

CONVERGENCE = Table(
    "convergence",
    "Cross-entropy of single images by steps and seed of PGD, with one step size; images that the model knows.",
    keys("dataset", "split", "model", "norm", "eps", "measure", "id")
    | {key: _RUN[key] for key in ("steps", "seed")}
    | RESULT,
)

FIG8 = Table(
    "fig8",
    "Rows of figure 8: mean of `convergence` over seeds per image, lo and hi one standard deviation below and above.",
    keys("dataset", "model", "norm", "eps", "measure", "id") | {"steps": _RUN["steps"]} | RESULT | _FROM,
)

FIG9 = Table(
    "fig9",
    "Accuracy under AutoAttack by eps; lo and hi are the 95 % Wilson interval.",
    keys("dataset", "model", "attack", "norm", "eps", "measure") | RESULT | _FROM,
)

FIG10 = Table(
    "fig10",
    "Clean and attacked accuracy of every cell of a sweep; lo and hi are the 95 % Wilson interval.",
    keys("dataset", "model", "attack", "norm", "eps", "measure")
    | {"cell": Column(_STR, "values that the recipe takes in the grid of the sweep")}
    | RESULT,
)

SEMANTICS = Table(
    "semantics",
    "One row per perturbation image and model that classified it: `model` is what the perturbation was made against, "
    "`model_b` is who classifies.",
    keys("dataset", "model", "model_b", "attack", "norm", "eps", "id")
    | {
        "label": Column(_INT, "true class of the image that was perturbed"),
        "prediction": Column(_INT, "predicted class of the perturbation"),
    },
)

FIG11 = Table(
    "fig11",
    "Rows of figure 11: share of perturbations that a model gives the true class, lo and hi the 95 % Wilson interval; "
    "rows of measure `example` hold a perturbation as an image.",
    keys("dataset", "model", "model_b", "attack", "norm", "eps", "measure", "id")
    | RESULT
    | {"image": Column(pa.binary(), "PNG of an example", nullable=True)},
)

FIG12 = Table(
    "fig12",
    "Learning curves: accuracies of `epochs` in long form; lo and hi are the 95 % Wilson interval on held-out images.",
    keys("model", "measure") | {"epoch": _RUN["epoch"], "steps": _RUN["steps"]} | RESULT,
)

PUBLISHED = Table(
    "published",
    "Measured beside published accuracy; value is measured, lo and hi its 95 % Wilson interval.",
    keys("dataset", "model", "attack", "norm", "eps", "measure")
    | RESULT
    | {
        "published": Column(_FLOAT, "published accuracy", "fraction"),
        "difference": Column(_FLOAT, "measured less published", "fraction"),
        "source": Column(_STR, "where the published number stands"),
    },
)

_ALL = [MANIFEST, EPOCHS, ATTACK, EFFECTIVENESS, CONVERGENCE, SEMANTICS, REPRESENT, COMPARE, SUBGROUPS]
_ALL += [ACCURACY, PUBLISHED, FIG5, FIG7, FIG8, FIG9, FIG10, FIG11, FIG12]
TABLES = {table.name: table for table in _ALL}
