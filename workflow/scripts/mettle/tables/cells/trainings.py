"""Tables of trainings, and of what networks cost."""

from mettle.tables.columns import BOOL, FLOAT, INT, STR, Column, Table, keys

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
