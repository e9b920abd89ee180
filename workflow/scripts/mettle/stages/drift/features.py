"""
How far attacks move features: those of attacked images beside those of clean ones, and beside those of the base.

Pulfer, Belousov & Voloshynovskiy 2024 (arXiv:2503.10191); what training of tokens raises, on held-out images.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mettle.digests import sha256_of
from mettle.evaluation import Batch, Evaluation, Opened
from mettle.perturb.features import LIKENESS, norm_of, of_class_token
from mettle.stages.drift.attacked import attacked, features_of, in_parts
from mettle.typed import FeatureAttack


def drift(
    evaluation: Evaluation,
    weights: dict[str, str | Path],
    keys: dict[str, Any],
    options: FeatureAttack,
    sample: int | None,
    resume: str | Path,
) -> dict[str, Any]:
    """Columns of the table of drift.

    Parameters
    ----------
    evaluation : the model and the held-out images
    weights : of the model that the attack goes through (`through`) and of the one without tokens (`base`)
    keys : dataset, split, model, attack, through
    options : of the attack, with defaults filled in
    sample : images, the same for every model; None for all
    resume : folder for the answers to finished batches; a killed job resumes from them with the same result

    Returns
    -------
    dict
        One entry per image, in the order of the store.
    """
    opened = evaluation.open(scored=False)
    three = tuple(features_of(evaluation, opened, path) for path in (None, weights["through"], weights["base"]))
    chosen, told = opened.split(opened.sample(sample)), [options, *map(sha256_of, weights.values())]
    found = in_parts(opened, chosen, told, resume, lambda batch: _batch(opened, batch, three, options))
    columns = {key: None if np.isnan(value).all() else value for key, value in found.items()}
    n = len(columns["id"])
    columns = {key: [None] * n if value is None else value for key, value in columns.items()}
    constant = keys | {"norm": options["norm"], "eps": float(options["eps"])}
    return {key: [value] * n for key, value in constant.items()} | columns


@torch.no_grad()
def _batch(
    opened: Opened, batch: Batch, three: tuple[nn.Module, nn.Module, nn.Module], options: FeatureAttack
) -> dict[str, np.ndarray]:
    """Columns of one batch; features are compared in fp32."""
    own, through, base = three
    images, queries = attacked(opened, batch, through, options)
    clean, moved, plain = own(batch.images), own(images), base(batch.images)
    pairs = {"": (moved, clean), "base_": (moved, plain), "clean_": (clean, plain)}
    class_token = own.model.network.cls_token is not None
    found: dict[str, Tensor] = {}
    for prefix, (one, other) in pairs.items():
        found |= compared(one, other, prefix, class_token=class_token)
    distance = norm_of(options, through).distance(images.double() - batch.images.double())
    columns = {"id": torch.tensor(batch.ids)} | found | {"distance": distance, "queries": queries}
    return {key: value.cpu().numpy() for key, value in columns.items()}


def compared(features: Tensor, others: Tensor, prefix: str, *, class_token: bool = True) -> dict[str, Tensor]:
    """How alike features (n, tokens, d) are to others, each (n,): cosines by axis, of the class token, squared error.

    Parameters
    ----------
    features, others : to compare
    prefix : of the names
    class_token : whether the first token is one; its cosine is NaN without
    """
    features, others = features.double(), others.double()
    found = {name: likeness(features, others) for name, likeness in LIKENESS.items()}
    of_class = of_class_token(features, others) if class_token else torch.full((len(features),), torch.nan)
    found |= {"class_token": of_class, "mse": (features - others).square().mean((1, 2))}
    return {prefix + key: value for key, value in found.items()}
