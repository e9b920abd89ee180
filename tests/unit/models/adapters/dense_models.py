"""Options of recipes, and segmenters that are made from them, for the tests of this folder."""

from mettle import schema
from mettle.models.adapters import segmenter

NORM = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}
ABOUT = {"threat": "none", "eps": 0.0, "resize": None, "interpolation": "bilinear", "dataset": "tiny"}
INPUT = {"size": 64, **NORM}


def backbone_options(**other):
    return schema.check({"input": INPUT, "backbone": other}, "recipe", "here")["backbone"]


def about(arch="resnet10t_half", size=64, transfer="full", scale=None, ignore=None, head=None, **backbone):
    head = {"channels": 8, "pool_scales": [1, 2], "auxiliary_channels": 8} | (head or {})
    found = schema.check({"input": INPUT, "backbone": backbone, "upernet": head}, "recipe", "here")
    shape = {"arch": arch, "size": size, "map_classes": 5, "classes": 5, "ignore": ignore, "scale": scale}
    blocks = {key: found[key] for key in ("backbone", "upernet")}
    return ABOUT | NORM | shape | blocks | {"transfer": transfer, "task": "segmentation"}


def segmenting(**options):
    return segmenter.create(about(**options), seed=0)
