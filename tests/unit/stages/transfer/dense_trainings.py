"""Small trainings of segmentation and detection: stores, bases, recipes, jobs, and what comes out."""

import pandas as pd
import torch

import jobs
from jobs import training_files
from mettle import models, schema, tables
from mettle.data import streets, write
from mettle.data.store import Store
from mettle.data.targets import Expected
from mettle.stages.transfer import transfer
from mettle.stages.transfer.training import Training

SMALL = streets.Difficulty(size=32, crop=(16, 64), edge=(28, 10))
NORM = {"mean": [0.5] * 3, "std": [0.25] * 3}
RECIPE = {
    "task": "segmentation",
    "epochs": 2,
    "batch_size": 4,
    "optimizer": {"name": "adamw", "lr": 0.003, "weight_decay": 0.05},
    "schedule": {"name": "one_cycle"},
    "input": {"size": 32, **NORM},
    "upernet": {"channels": 8, "pool_scales": [1, 2], "auxiliary_channels": 8},
}
HEAD = {
    **{"channels": 8, "norm": "bn", "levels": 3, "anchor_scales": [4], "anchor_ratios": [1], "anchor_samples": 16},
    **{"candidates": [30, 30], "proposals": 12, "rois": 8, "finest_scale": 14, "sampling_ratio": 1, "box_size": 3},
    **{"box_width": 16, "class_agnostic": True, "mask_size": 4, "mask_convs": 0},
}
DETECTION = {"task": "detection", "backbone": {"strides": [4, 8, 16]}, "mask_rcnn": HEAD}
ARCH = "resnet10t_half"


def store(folder, split, n, difficulty=SMALL):
    items = [streets.street(0, split, index, difficulty) for index in range(n)]
    paths = folder / f"{split}.lmdb", folder / f"{split}.parquet"
    expected = Expected(("label_map", "objects"), classes=10, map_classes=11)
    write(*paths, items, table=tables.DENSE_MANIFEST, expected=expected, provenance={"class_names": ["a", "b"]})
    return paths[0]


def base(folder):
    about = {"size": 32, "resize": None, "interpolation": "bilinear", "threat": "none", "eps": 0.0, "dataset": "other"}
    path = folder / "base.safetensors"
    models.save(path, models.create(ARCH, 7, 32, **NORM, seed=5), about | NORM | {"arch": ARCH, "classes": 7})
    return path


def recipe(**other):
    return schema.check(RECIPE | other, "recipe", "here")


def detection(**other):
    return recipe(**DETECTION | other, upernet={})


def row(seed=0, **other):
    found = {"model": f"upernet-tiny-s{seed}", "dataset": "streets", "arch": ARCH, "recipe": "tiny", "seed": seed}
    found |= {"threat": "none", "eps": 0.0, "classes": 10, "map_classes": 11, "ignore": None, "transfer": "full"}
    return found | other


class Job(jobs.Job):
    rule, counted = "transfer", "epoch"


def run(folder, stores, options, seed=0, job=None, start=None, fabric=(), **cells):
    job, fabric = job or Job(), {"checkpoint_seconds": 0} | dict(fabric)
    transfer(row(seed, **cells), options, training_files(folder, *stores, base=start), job, fabric)
    return result(folder), job


def result(folder):
    weights, epochs = folder / "weights.safetensors", folder / "epochs.parquet"
    return models.load(weights)[0].state_dict(), tables.read(epochs, tables.TRANSFER_EPOCHS)


def equal(first, second):
    decided = [frame.drop(columns="images_per_second") for frame in (first[1], second[1])]  # a seed decides no speed
    pd.testing.assert_frame_equal(*decided, check_exact=True)
    return [key for key in first[0] if not torch.equal(first[0][key], second[0][key])] == []


def training(stores, options, start=(), job=None, **cells):
    return Training(row(**cells), options, *map(Store, stores), job or Job(), start)
