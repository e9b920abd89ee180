"""Tables of studies of attacks over steps, epochs and models."""

from mettle.tables.columns import BOOL, INT, RESULT, Column, Table, keys
from mettle.tables.doubts import FLAGS

RUN = {
    "epoch": Column(INT, "training epoch of the weights, from 0"),
    "steps": Column(INT, "steps of PGD; 0 is the clean image (accuracy) or the random start (loss)"),
    "seed": Column(INT, "seed of the random start"),
}

# Only the final weights exist of a model that kept none of its epochs, or was not trained here.
BY_EPOCH = {"epoch": Column(INT, "training epoch of the weights, from 0; null for those at the end", nullable=True)}

EFFECTIVENESS = Table(
    "effectiveness",
    "Accuracy and mean loss by training epoch, steps and seed: `attack` is `clean`, `pgd`, the last iterate from a "
    "random start, or `apgd`, the largest loss over its starts; lo and hi are the 95 % Wilson interval of an accuracy.",
    keys("dataset", "split", "model", "attack", "norm", "eps", "measure") | RUN | BY_EPOCH | RESULT,
)

CONVERGENCE = Table(
    "convergence",
    "Cross-entropy of single images by steps and seed of PGD, with one step size; images that the model knows.",
    keys("dataset", "split", "model", "norm", "eps", "measure", "id")
    | {key: RUN[key] for key in ("steps", "seed")}
    | RESULT,
)

SUBMISSION = Table(
    "submission",
    "One row per image and attack in the ball that a model was trained against: whether it is classified correctly, "
    "clean and attacked. Attack `all`: whether under every attack.",
    keys("dataset", "split", "model", "attack", "norm", "eps", "id")
    | {
        "label": Column(INT, "true class"),
        "clean_correct": Column(BOOL, "whether the clean image is classified correctly"),
        "correct": Column(BOOL, "whether the attacked image is"),
    },
)

SEMANTICS = Table(
    "semantics",
    "One row per perturbation image and model that classified it: the perturbation was made against `model`, and "
    "`model_b` classifies it.",
    keys("dataset", "model", "model_b", "attack", "norm", "eps", "id")
    | {
        "label": Column(INT, "true class of the image that was perturbed"),
        "prediction": Column(INT, "class that is predicted for the perturbation"),
    }
    | {name: Column(BOOL, f"{column.text}, for `model`") for name, column in FLAGS.items()},
)
