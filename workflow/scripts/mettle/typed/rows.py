"""Rows of sheets."""

from typing import NotRequired, TypedDict


class ModelRow(TypedDict):
    """A row of a sheet of models, or of a sweep; a plan fills in `label`, `threat`, `eps` and `seed`."""

    model: str
    label: NotRequired[str]
    dataset: str
    arch: str
    task: str
    recipe: str
    size: NotRequired[int | list[int]]
    resize: NotRequired[int | list[int]]
    interpolation: NotRequired[str]
    mean: NotRequired[list[float]]
    std: NotRequired[list[float]]
    threat: NotRequired[str]
    eps: NotRequired[float]
    seed: NotRequired[int]
    source: str
    sha256: NotRequired[str]
    format: str
    part: NotRequired[str]
    apart: str
    inverted: NotRequired[str]
    base: NotRequired[str]
    transfer: NotRequired[str]
    published: NotRequired[str]
    mirror: str
    licence: str
    reference: str
    sweep: NotRequired[str]  # of models of a sweep, with `cell`, its part of the grid in words
    cell: NotRequired[str]
    classes: NotRequired[int | None]  # of its data set, as jobs are told
    code: NotRequired[list[str] | dict[str, str]]  # own files that make its architecture; in jobs with SHA-256
    loss_code: NotRequired[list[str] | dict[str, str]]  # likewise of the loss of its recipe


class DatasetRow(TypedDict):
    """A row of config/datasets.tsv."""

    dataset: str
    task: list[str]
    classes: NotRequired[int]
    map_classes: NotRequired[int]
    ignore: NotRequired[int]
    depth_min: NotRequired[float]
    depth_max: NotRequired[float]
    depth_unit: NotRequired[float]
    depth_crop: NotRequired[list[int]]
    size: int
    reader: str
    source: str
    train: str
    test: str
    subset: str
    parent: str
    version: str
    licence: str
    sha256: NotRequired[str]
    home: str
    names: str
