"""Tables of features and activations: under attack, of all layers, of the last."""

from mettle.tables.columns import FLOAT, INT, STR, VECTOR, Column, Table, keys


def _alike(prefix: str, of: str, to: str) -> dict[str, Column]:
    """How alike features are to others."""
    where = f"features of the {of} to those of the {to}"
    return {
        f"{prefix}channels": Column(FLOAT, f"{where}: cosine over channels, mean over tokens", "cosine"),
        f"{prefix}tokens": Column(FLOAT, f"{where}: cosine over tokens, mean over channels", "cosine"),
        f"{prefix}class_token": Column(FLOAT, f"{where}: cosine of the class tokens; null without", "cosine", True),
        f"{prefix}mse": Column(FLOAT, f"{where}: mean squared error"),
    }


DRIFT = Table(
    "drift",
    "One row per image: how alike features of a model are before and after an attack on features. `base` is the model "
    "without robustness tokens, for a model that has none itself.",
    keys("dataset", "split", "model", "attack", "norm", "eps", "id")
    | {"through": Column(STR, "model whose features the attack changed")}
    | _alike("", "attacked image", "clean image")
    | _alike("base_", "attacked image", "clean image by the base")
    | _alike("clean_", "clean image", "clean image by the base")
    | {
        "distance": Column(FLOAT, "distance between attacked and clean image in `norm`", "pixel range [0, 1]"),
        "queries": Column(INT, "forward passes of the attack for the image"),
    },
)

ACTIVATIONS = Table(
    "activations",
    "One row per image, layer of a vision transformer and condition (attack is `clean` or an entry of "
    "`drift.attacks`): the largest absolute activation of its class token and patch tokens. Layers are `input`, what "
    "enters the first block, and the blocks' outputs.",
    keys("dataset", "split", "model", "layer", "attack", "norm", "eps", "id")
    | {
        "through": Column(STR, "model whose features the attack changed; null for clean images", nullable=True),
        "largest": Column(FLOAT, "largest absolute activation over tokens and channels"),
    },
)

SURFACE = Table(
    "activations_surface",
    "All absolute activations of the first image, one row per token, layer and condition as in `activations`.",
    {name: column for name, column in ACTIVATIONS.columns.items() if name != "largest"}
    | {
        "token": Column(INT, "place of the token, from 0: the class token, where there is one, then patches by row"),
        "activations": Column(VECTOR, "absolute activation of every channel"),
    },
)

REPRESENT = Table(
    "represent",
    "One row per image: its representation by a model.",
    keys("dataset", "images", "model", "id")
    | {
        "label": Column(INT, "true class; of an inverted image, that of its target"),
        "prediction": Column(INT, "predicted class"),
        "logits": Column(VECTOR, "one logit per class"),
        "features": Column(VECTOR, "penultimate vector: the input of the last linear layer"),
    },
)

LAYER_FEATURES = Table(
    "layer_features",
    "One row per image and layer of a model, a row group per layer in the order in which they run.",
    keys("dataset", "images", "model", "layer", "id")
    | {"features": Column(VECTOR, "output of the layer as one vector; all of a layer have one length", ragged=True)},
)
