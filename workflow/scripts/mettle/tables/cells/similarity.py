"""Tables of similarity of models, and of the probes by which they are compared."""

from mettle.tables.columns import CLASSES, FLOAT, INT, RESULT, STR, Column, Table, keys

METHOD = Column(STR, "measure's function, a key of mettle.measures.MEASURES")

COMPARE = Table(
    "compare",
    "Similarity of two models on the same images. On inverted images the model that they were inverted through is "
    "named in `images` and comes first; measures that are not symmetric have a row per order. No interval.",
    keys("dataset", "images", "model", "model_b", "norm", "eps", "measure")
    | RESULT
    | {
        "method": METHOD,
        "baseline": Column(FLOAT, "mean score with the images of `model_b` permuted; null if not asked for", "", True),
        "floor": Column(
            FLOAT, "score of independent normal features of the same sizes; null if not asked for", nullable=True
        ),
        "p": Column(
            FLOAT,
            "share of orders of the images of `model_b`, the right one among them, that score at least as similar; "
            "null unless `compare.permutations` are enough for `compare.level`, and of measures that no order changes",
            "probability",
            True,
        ),
        "calibrated": Column(
            FLOAT,
            "how far the score is above the threshold that permuted images exceed with a probability of "
            "`compare.level`: 0 not at all, 1 as a model with itself, whichever end of `value` means alike; null where "
            "`p` is",
            nullable=True,
        ),
    },
)

LAYER_SIMILARITY = Table(
    "layer_similarity",
    "Similarity of each layer of `model` to each layer of `model_b` on the same images; the two may be one model. No "
    "interval.",
    keys("dataset", "images", "model", "model_b", "layer", "measure")
    | {"layer_b": Column(STR, "layer of `model_b`")}
    | RESULT
    | {"method": METHOD},
)

AGREE = Table(
    "agree",
    "Functional similarity of two models on the same images; on inverted images the model that they were inverted "
    "through is named in `images` and comes first. lo and hi are the 95 % Wilson interval of a disagreement.",
    keys("dataset", "images", "model", "model_b", "norm", "eps", "measure") | RESULT,
)

SUBGROUPS = Table(
    "subgroups",
    "Similarity of two models on the two parts of a split of the images: `agree` and `disagree` by predicted class, "
    "`right` (both are) and `wrong`, or `confident` (both are) and `unsure`. `*_matched` is the larger part drawn "
    "down to the size of the smaller, mean over draws; lo and hi are the smallest and largest draw.",
    keys("dataset", "images", "subgroup", "model", "model_b", "norm", "eps", "measure") | RESULT | {"method": METHOD},
)

PROBE = Table(
    "probe",
    "One row per image: predictions of a model's own head and of linear probes on its penultimate features.",
    keys("dataset", "images", "model", "id")
    | {
        "label": Column(INT, "true class"),
        "prediction": Column(INT, "class predicted by the model's own head"),
        "probes": Column(CLASSES, "class predicted by each probe"),
    },
)

PROBE_EPOCHS = Table(
    "probe_epochs",
    "One row per probe and epoch of its training.",
    keys("dataset", "model")
    | {
        "probe": Column(INT, "number of the probe, from 0"),
        "epoch": Column(INT, "epoch, from 0"),
        "lr": Column(FLOAT, "learning rate of the epoch"),
        "loss": Column(FLOAT, "mean training loss", "nats"),
        "accuracy": Column(FLOAT, "accuracy on the held-out images after the epoch", "fraction"),
        "n": Column(INT, "training images"),
    },
)

PROBE_AGREE = Table(
    "probe_agree",
    "Agreement of two models by head: `pretrained`, their own heads; `probe`, mean over pairs of their probes, lo and "
    "hi the least and greatest. A model with itself is the agreement of its own probes.",
    keys("dataset", "images", "model", "model_b", "norm", "eps", "measure") | RESULT,
)
