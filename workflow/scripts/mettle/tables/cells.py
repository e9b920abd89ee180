"""Tables of the cells that the stages make."""

import pyarrow as pa

from mettle.tables.answers import CORRUPT
from mettle.tables.attacked import ATTACKED
from mettle.tables.columns import BINARY, BOOL, CLASSES, FLOAT, INT, RESULT, STR, VECTOR, Column, Table, keys
from mettle.tables.doubts import FLAGS

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
        "label": Column(INT, "class index, from 0; null where images have no label", nullable=True),
        "class_name": Column(STR, "name of the class; null where images have no label", nullable=True),
        "source": Column(STR, "where the image came from: file, archive member, or generator and seed"),
        "sha256": Column(STR, "SHA-256 of the stored bytes"),
        "objects": Column(
            pa.list_(_BOX),
            "objects in the image where known, nearest first: class, box [x0, x1) x [y0, y1) in pixels, depth order "
            "(0 is nearest), visible mask as a one-bit PNG",
            nullable=True,
        ),
    },
)

DENSE_MANIFEST = Table(
    "dense_manifest",
    "Manifest of a store with targets beside its images, in `{split}.targets.lmdb`.",
    MANIFEST.columns
    | {
        "width": Column(INT, "width of the image", "pixels"),
        "height": Column(INT, "height of the image", "pixels"),
        "label_map_sha256": Column(STR, "SHA-256 of the stored label map; null where there are none", nullable=True),
        "depth_sha256": Column(STR, "SHA-256 of the stored depth map; null where there are none", nullable=True),
        "depth_unit": Column(FLOAT, "distance that a step of the depth map stands for", "metres", nullable=True),
        "depth_min": Column(FLOAT, "shortest distance that counts; null for any", "metres", nullable=True),
        "depth_max": Column(FLOAT, "longest distance that counts; null for any", "metres", nullable=True),
        "depth_crop": Column(
            pa.list_(pa.int32()),
            "first row, row after the last, first column and column after the last of the part of the depth map that "
            "counts in evaluation; null for all of it",
            "pixels",
            nullable=True,
            ragged=True,
        ),
        "objects_sha256": Column(STR, "SHA-256 of the stored objects; null where there are none", nullable=True),
    },
    extends="manifest",
)

PAIRS = Table(
    "pairs",
    "Seeds and targets of inversion, shared by all models of a data set: `id` is the target image, `seed_id` the image "
    "of another class that inversion starts from.",
    keys("dataset", "split", "id")
    | {
        "label": Column(INT, "class of the target"),
        "seed_id": Column(INT, "seed image, its key in the same store"),
        "seed_label": Column(INT, "class of the seed"),
    },
)

INVERTED = Table(
    "inverted",
    "Manifest of a store of inverted images: ids, labels and class names are those of the targets.",
    MANIFEST.columns
    | {
        "seed_id": Column(INT, "image that inversion started from, its key in the clean store"),
        "start_loss": Column(FLOAT, "distance of the seed's features to the target's, relative to the target's"),
        "loss": Column(FLOAT, "the same for the image that was kept, before rounding to 8 bits (published: after)"),
        "step": Column(INT, "steps after which that image was found, 0 for the seed; null if published", nullable=True),
    },
    extends="manifest",
)

PERTURBED = Table(
    "perturbed",
    "Manifest of a store of attacked images or perturbations: ids, labels, class names are those of the clean images.",
    MANIFEST.columns | FLAGS,
    extends="manifest",
)

EPOCHS = Table(
    "epochs",
    "One row per training epoch.",
    keys("model")
    | {
        "epoch": Column(INT, "epoch, from 0"),
        "lr": Column(FLOAT, "learning rate at the end of the epoch"),
        "eps": Column(
            FLOAT, "radius of the training attack at the last update of the epoch", "pixel range [0, 1]", nullable=True
        ),
        "batch": Column(INT, "nominal images per update, over all processes"),
        "train_loss": Column(FLOAT, "mean training loss (on attacked images for adversarial training)", "nats"),
        "train_accuracy": Column(FLOAT, "accuracy on the training images as the loss sees them", "fraction"),
        "train_clean_accuracy": Column(
            FLOAT, "accuracy on the training images before the attack, if the loss uses them", "fraction", True
        ),
        "test_loss": Column(FLOAT, "mean clean loss on held-out images", "nats", nullable=True),
        "test_accuracy": Column(FLOAT, "clean accuracy on held-out images", "fraction", nullable=True),
        "test_n": Column(INT, "held-out images that both are computed on", nullable=True),
        "one_step_accuracy": Column(
            FLOAT, "accuracy on held-out images under one step of PGD at full eps, last iterate", "fraction", True
        ),
        "robust_accuracy": Column(
            FLOAT, "accuracy on them under `robust_steps` steps of PGD at full eps, last iterate", "fraction", True
        ),
        "robust_steps": Column(INT, "steps of PGD", nullable=True),
        "robust_n": Column(INT, "images that both accuracies are computed on", nullable=True),
        "alarm": Column(STR, "catastrophic overfitting: the gap of both accuracies exceeds the limit", nullable=True),
        "selected": Column(BOOL, "whether the weights of this epoch were kept"),
        "images_per_second": Column(
            FLOAT, "training images per second without validation; a measurement, which no seed reproduces", "1/s", True
        ),
        "n": Column(INT, "training images seen in the epoch"),
    },
)

TRANSFER_EPOCHS = Table(
    "transfer_epochs",
    "One row per epoch of a training of segmentation or detection.",
    keys("model", "measure")
    | {
        "epoch": Column(INT, "epoch, from 0"),
        "updates": Column(INT, "updates up to the end of the epoch"),
        "lr": Column(FLOAT, "largest learning rate after its last update"),
        "batch": Column(INT, "nominal images per update, over all processes"),
        "train_loss": Column(FLOAT, "mean of the sum of all training losses"),
        "score": Column(
            FLOAT,
            "`measure` on held-out images; null if not measured or undefined",
            "",
            True,
        ),
        "test_n": Column(INT, "held-out images that it is computed on", nullable=True),
        "images_per_second": Column(
            FLOAT, "training images per second without validation; a measurement, which no seed reproduces", "1/s"
        ),
        "n": Column(INT, "training images seen in the epoch"),
    },
)

TOKENS_STEPS = Table(
    "tokens_steps",
    "One row per update of a training of robustness tokens. Similarities are of features with tokens to those of the "
    "clean image without tokens, before the update, mean over the images of the batch.",
    keys("model")
    | {
        "step": Column(INT, "update, from 0"),
        "lr": Column(FLOAT, "learning rate of the update"),
        "invariance": Column(FLOAT, "similarity on clean images", "cosine"),
        "adversarial": Column(FLOAT, "similarity on attacked images", "cosine"),
        "plain": Column(FLOAT, "similarity on attacked images without tokens", "cosine"),
        "image_mse": Column(FLOAT, "mean squared error of attacked images", "pixel range [0, 1], squared"),
        "n": Column(INT, "images"),
    },
)

SHARED_ATTACK = Table(
    "shared_attack",
    "One row per attacked image of all updates of trainings of robustness tokens, in the order of the array beside it.",
    {
        "id": Column(INT, "id of the image in the store"),
        "step": Column(INT, "update, from 0"),
        "plain": Column(FLOAT, "similarity of its features to those of the clean image, without tokens", "cosine"),
        "image_mse": Column(FLOAT, "its mean squared error", "pixel range [0, 1], squared"),
    },
)

HEADS = Table(
    "heads",
    "One row per head that was trained on the features of a frozen network.",
    keys("model")
    | {
        "head": Column(STR, "name of the head: what it sees and its learning rate; knn for nearest neighbours"),
        "blocks": Column(INT, "last blocks whose class tokens it sees"),
        "average": Column(BOOL, "whether it sees the mean of the last patch tokens too"),
        "lr": Column(FLOAT, "learning rate at the start, scaled; null for nearest neighbours", nullable=True),
        "updates": Column(INT, "updates"),
        "train_loss": Column(FLOAT, "cross-entropy, mean over all updates", "nats", nullable=True),
        "accuracy": Column(FLOAT, "on training images that were held out; null without any", "fraction", nullable=True),
        "n": Column(INT, "images that were held out"),
        "chosen": Column(BOOL, "whether it is the head that the weights hold"),
    },
)


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

COST = Table(
    "cost",
    "Cost of a network, one row per pass: written by `make profile OUT=FILE.parquet`, not by a rule.",
    {
        "arch": Column(STR, "architecture"),
        "classes": Column(INT, "number of logits"),
        "size": Column(INT, "side of the images", "pixels"),
        "device": Column(STR, "device that it ran on"),
        "precision": Column(STR, "of the passes: fp32, or bf16 autocast"),
        "threads": Column(INT, "CPU threads"),
        "parameters": Column(INT, "trainable parameters of the network"),
        "multiply_adds": Column(INT, "multiply-adds of matrix products and convolutions, forward pass of one image"),
        "what": Column(
            STR,
            "`forward`; `input_gradient`; `training`, a step of AdamW; `pgd{k}` and `trades{k}`, such a step of the "
            "losses adversarial and trades with k attack steps",
        ),
        "batch": Column(INT, "images at a time; halved until they fit into the memory of a GPU"),
        "seconds": Column(FLOAT, "median time of a batch", "s"),
        "images_per_second": Column(FLOAT, "batch over that time", "1/s"),
        "forwards": Column(FLOAT, "time of an image over that of a forward pass"),
        "memory": Column(FLOAT, "peak GPU memory of a batch; null on a CPU", "GB", nullable=True),
    },
)

ROBUSTNESS = Table(
    "robustness_scores",
    "Scores of a model under corruptions. `statistic` is `score`, of the images under one condition (severity 0 is "
    "clean); `mpc`, the mean over corruptions of their means over severities, and `rpc`, its ratio to the clean score "
    "where more is better (Michaelis et al. 2019); `ce` and `mce`, errors relative to AlexNet's, and `relative_ce` and "
    "`relative_mce`, the same less the clean errors (Hendrycks & Dietterich 2019). lo and hi are a 95 % bootstrap "
    "interval over images.",
    keys("dataset", "split", "model", "task", "corruption")
    | {
        "corruption": Column(
            STR,
            "type; `clean`; or of a mean: `mean` for all types of the set, a group of them, or `without_noise`",
        ),
        "severity": Column(INT, "severity; 0 for clean images; null for the mean over all of the set", nullable=True),
        "measure": Column(STR, "score of the task, as accuracy or miou"),
        "statistic": Column(STR, "what was made of it"),
    }
    | RESULT,
)

EXAMPLES = Table(
    "examples",
    "Held-out images under every corruption at every severity, and clean (severity 0); `value` is the peak "
    "signal-to-noise ratio to the clean image in dB.",
    keys("dataset", "corruption", "severity", "measure", "id")
    | RESULT
    | {"image": Column(BINARY, "PNG, reduced where the longer side exceeds 256 pixels")},
)

PICTURES = Table(
    "pictures",
    "Held-out images of a dense task, their targets, and what a model makes of them, clean and attacked; `value` is "
    "the score of one answer alone.",
    keys("dataset", "split", "model", "attack", "norm", "eps", "measure", "id")
    | {
        "shows": Column(
            STR, "`image`, `target`, `answer`; `attacked`, the attacked image; `attacked_answer`, that to it"
        )
    }
    | RESULT
    | {"image": EXAMPLES.columns["image"]},
)

CELLS = [
    MANIFEST,
    DENSE_MANIFEST,
    PAIRS,
    INVERTED,
    PERTURBED,
    EPOCHS,
    TRANSFER_EPOCHS,
    TOKENS_STEPS,
    SHARED_ATTACK,
    HEADS,
    DRIFT,
    ACTIVATIONS,
    SURFACE,
    *ATTACKED.values(),
    EFFECTIVENESS,
    CONVERGENCE,
    SEMANTICS,
    REPRESENT,
    LAYER_FEATURES,
]
CELLS += [*CORRUPT.values(), ROBUSTNESS, EXAMPLES, PICTURES, COMPARE, LAYER_SIMILARITY, AGREE, SUBGROUPS]
CELLS += [PROBE, PROBE_EPOCHS, PROBE_AGREE, COST]
