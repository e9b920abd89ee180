"""Recipes that train whole networks, and their blocks."""

from typing import Any, NotRequired, TypedDict


class Optimizer(TypedDict):
    """Block `optimizer` of a recipe."""

    name: str
    lr: float
    scaling: str
    base_batch: int
    momentum: float
    no_decay: list[str]
    nesterov: bool
    weight_decay: float
    decay_all: bool


class Schedule(TypedDict):
    """Block `schedule` of a recipe: the learning rate."""

    name: str
    by: str
    cooldown_epochs: int
    warmup_epochs: float
    warmup_updates: int
    warmup_ratio: float
    warmup_lr: float
    min_lr: float
    power: float
    rise: float
    every: float
    milestones: list[int]
    factor: float


class EpsSchedule(TypedDict):
    """Block `attack.schedule` of a recipe: how eps grows."""

    shape: str
    period: float
    zero_epochs: float
    by: str


class TrainingAttack(TypedDict):
    """Block `attack` of a recipe; without `steps` in one for checkpoints only."""

    norm: str
    eps: float
    steps: NotRequired[int]
    step_size: float | None
    tie_step_size: bool
    random_start: bool
    best: bool
    target: str
    precision: str
    schedule: EpsSchedule


class Input(TypedDict):
    """Block `input` of a recipe: from stored image to network input."""

    size: int | list[int]
    resize: int | list[int] | None
    interpolation: str
    scale: list[int] | None
    mean: list[float]
    std: list[float]


class PrimeColor(TypedDict):
    """Block `augment.prime.color` of a recipe."""

    cut: int
    variance: float
    bandwidth: int | None


class PrimeFilter(TypedDict):
    """Block `augment.prime.filter` of a recipe."""

    radius: int
    sigma: float
    off_centre: bool


class PrimeDiffeomorphism(TypedDict):
    """Block `augment.prime.diffeomorphism` of a recipe."""

    cut_min: int
    cut_max: int
    alpha: float


class Prime(TypedDict):
    """Block `augment.prime` of a recipe."""

    width: int
    depth: int
    random_depth: bool
    primitives: list[str]
    color: PrimeColor
    filter: PrimeFilter
    diffeomorphism: PrimeDiffeomorphism
    parity: str


class Augment(TypedDict):
    """Block `augment` of a recipe: random changes of training images."""

    random_resized_crop: bool
    scale: list[float]
    ratio: list[float]
    interpolation: str
    crop_padding: int
    horizontal_flip: bool
    vertical_flip: bool
    auto_augment: str | None
    color_jitter: float
    rotation: float
    lighting: float
    erasing: float
    erasing_mode: str
    prime: NotRequired[Prime]
    mixup: float
    cutmix: float
    mix_probability: float
    epochs_without_mixup: int
    resize_range: list[float] | None
    largest_class: float
    random_crop: NotRequired[bool]
    photometric: bool
    short_sides: list[int] | None
    crop_short_sides: list[int] | None
    crop_range: list[int]


class Mix(TypedDict):
    """Block `mix` of a recipe: a second data set in the training."""

    dataset: str
    ratio: float


class BackboneOptions(TypedDict):
    """Block `backbone` of a recipe: the network below the head of a dense task."""

    names: str
    strides: list[int]
    frozen_stages: int
    norm_eval: bool


class UperNet(TypedDict):
    """Block `upernet` of a recipe: the head of segmentation."""

    channels: int
    pool_scales: list[int]
    dropout: float
    auxiliary_weight: float
    auxiliary_channels: int
    init_std: float | None
    inference: str
    crop: int | list[int]
    stride: int | list[int]


class LinearHead(TypedDict):
    """Block `linear` of a recipe: a linear head on patch tokens."""

    layers: list[int]
    norm: bool
    class_token: bool
    inference: str
    crop: int | list[int]
    stride: int | list[int]
    batch_norm: bool
    bins: int
    range: list[float]
    spacing: str
    upsample: int
    flip: bool
    warm_updates: int
    gradient_weight: float


class MaskRcnn(TypedDict):
    """Block `mask_rcnn` of a recipe: what a detector has behind its backbone."""

    masks: bool
    channels: int
    norm: str
    levels: int
    anchor_scales: list[float]
    anchor_ratios: list[float]
    anchor_samples: int
    candidates: list[int]
    proposals: int
    rois: int
    finest_scale: float
    sampling_ratio: int
    box_size: int
    box_width: int
    class_agnostic: bool
    mask_size: int
    mask_convs: int
    mask_width: int


class Validation(TypedDict):
    """Block `validation` of a recipe: robust accuracy during training, and which weights are kept."""

    every: int
    steps: int
    images: int
    select: str
    alarm: float


class Recipe(TypedDict):
    """A training recipe, a file of config/recipes; one for checkpoints only needs no more than `input`."""

    kind: NotRequired[str]
    extends: NotRequired[str]
    task: str
    epochs: NotRequired[int]
    iterations: NotRequired[int]
    batch_size: NotRequired[int]
    accumulate: int
    loss: str
    beta: float
    jsd_weight: float
    loss_options: dict[str, Any]
    label_smoothing: float
    precision: str
    drop_path: float
    ema: float | None
    batch_norm: str
    optimizer: NotRequired[Optimizer]
    schedule: NotRequired[Schedule]
    clip_norm: float | None
    clip_mode: str
    attack: NotRequired[TrainingAttack]
    input: Input
    augment: Augment
    backbone: BackboneOptions
    upernet: UperNet
    linear: NotRequired[LinearHead]
    mask_rcnn: MaskRcnn
    mix: NotRequired[Mix]
    holdout: int
    validation: Validation
    checkpoints: list[int]
