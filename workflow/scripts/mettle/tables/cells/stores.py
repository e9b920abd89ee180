"""Tables of image stores: what lies in them, and the pairs that inversion starts from."""

import pyarrow as pa

from mettle.tables.columns import FLOAT, INT, STR, Column, Table, keys
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
