"""
A model as a folder that Hugging Face takes and timm opens: weights, configuration, and a card from the tables.

`timm.create_model("local-dir:FOLDER", pretrained=True)` builds it from the folder; once it was uploaded,
`hf-hub:OWNER/NAME` does.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from mettle import models, tables
from mettle.flow import Job
from mettle.models import Classifier
from mettle.stages.train import card
from mettle.tasks.scores import accuracy
from mettle.units import ball_text, sides, size_text

Row = dict[str, Any]

# Licences by what rows call them, and their names on Hugging Face.
_LICENCES = {"mit": "mit", "apache-2.0": "apache-2.0", "bsd-3-clause": "bsd-3-clause", "cc-by-4.0": "cc-by-4.0"}


def write(weights: str | Path, cells: Sequence[str | Path], said: Row, folder: str | Path, job: Job) -> None:
    """Write `model.safetensors`, `config.json` and `README.md`, and build the model from them once.

    Parameters
    ----------
    weights : safetensors of this project
    cells : attack tables of the model; none for a card without accuracies
    said : of `mettle.stages.train.card.write`
    folder : to write; an earlier one is replaced
    job : log

    Raises
    ------
    ValueError
        If timm does not build the same network from the folder.
    """
    model, _ = models.load(weights)
    about = card.facts(weights, said)
    folder, made = Path(folder), Path(f"{folder}.part")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    _write_network(model.eval(), about, made)
    answers = tables.concat(cells, tables.ATTACK) if cells else None
    (made / "README.md").write_text(text(about, answers), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)
    job.say(f"to upload it: hf upload OWNER/{about['model']} {folder}")


def _write_network(model: Classifier, about: Row, folder: Path) -> None:
    from timm.models import save_for_hf

    network = model.network
    if "architecture" not in (getattr(network, "pretrained_cfg", None) or {}):
        raise ValueError(f"'{about['arch']}' is not a network of timm: hand on {about['weights']} itself")
    save_for_hf(network, folder, model_config={"pretrained_cfg": _input(about)}, safe_serialization=True)
    _check_same(model, about, folder)


def _input(about: Row) -> Row:
    """How images reach the network, in timm's words; nothing of the weights that timm itself has of this name."""
    height, width = sides(about["size"])
    resize = about["resize"] or about["size"]
    squash = not isinstance(resize, int)
    shorter = min(sides(resize))
    return {
        "tag": "",
        "license": _LICENCES.get(about.get("licence", "").lower(), "other"),
        "input_size": [3, height, width],
        "mean": about["mean"],
        "std": about["std"],
        "interpolation": about["interpolation"],
        "crop_pct": 1.0 if squash else min(height, width) / shorter,
        "crop_mode": "squash" if squash else "center",
    }


def _check_same(model: Classifier, about: Row, folder: Path) -> None:
    """Raise ValueError unless timm builds a network from the folder that gives the same logits."""
    import timm

    images = torch.rand(2, 3, *sides(about["size"]), generator=torch.Generator().manual_seed(0))
    try:
        again: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        with torch.inference_mode():
            mean, std = (torch.tensor(about[key]).view(3, 1, 1) for key in ("mean", "std"))
            same = torch.allclose(model(images), again((images - mean) / std), rtol=1e-4, atol=1e-4)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"timm cannot build '{about['arch']}' from its configuration: {error}") from error
    if not same:
        raise ValueError(
            f"timm builds another network than '{about['arch']}' from its configuration: hand on "
            f"{about['weights']} itself"
        )


# The card


def text(about: Row, answers: pd.DataFrame | None) -> str:
    """The card.

    Parameters
    ----------
    about : of `mettle.stages.train.card.facts`
    answers : rows of the attack table, or None
    """
    parts = [_head(about), f"# {about['model']}", card.summary(about), "## Accuracy", _accuracies(answers)]
    parts += ["## Use", _use(about), "## Facts", card.table(("", ""), _facts(about))]
    if about.get("expected"):
        parts += ["## Published accuracy", card.expected(about)]
    return "\n\n".join([*parts, "## Cite", card.cite(about)]) + "\n"


def _head(about: Row) -> str:
    """What Hugging Face sorts models by."""
    stated = about.get("licence") or ""
    licence = [f"license: {_LICENCES.get(stated.lower(), 'other')}"]
    if stated.lower() not in _LICENCES:
        licence.append(f"license_name: {json.dumps(stated or 'not stated')}")
    tags = ["image-classification", "timm", *(["adversarial-robustness"] if about["eps"] else [])]
    return "\n".join(
        ["---", *licence, "library_name: timm", "pipeline_tag: image-classification", "tags:"]
        + [f"- {tag}" for tag in tags]
        + ["---"]
    )


def _accuracies(answers: pd.DataFrame | None) -> str:
    """Clean accuracy once per set of images, then that under each attack, with 95 % Wilson intervals."""
    if answers is None:
        return "None was measured."
    rows, seen = [], set()
    for (dataset, split, attack), part in answers.groupby(["dataset", "split", "attack"], sort=False):
        images = f"`{dataset}`, {split}"
        if (key := (dataset, split, frozenset(part["id"]))) not in seen:
            rows.append((images, "none", "", *_measured(part, clean=True)))
        seen.add(key)
        if part["eps"].iloc[0]:
            ball = ball_text(part["norm"].iloc[0], part["eps"].iloc[0])
            rows.append((images, f"`{attack}`", ball, *_measured(part), tables.doubts_of(part) or ""))
    rows = [(*row, "")[:7] for row in rows]
    return card.table(("images", "attack", "ball", "n", "accuracy", "95 % interval", "doubts"), rows)


def _measured(answers: pd.DataFrame, *, clean: bool = False) -> tuple[str, str, str]:
    found = accuracy(answers, clean=clean)
    return f"{found['n']:,}", f"{found['value']:.4f}", f"{found['lo']:.4f} to {found['hi']:.4f}"


def _use(about: Row) -> str:
    mean, std = (", ".join(f"{value:.6g}" for value in about[key]) for key in ("mean", "std"))
    lines = [
        "import timm",
        "",
        f'model = timm.create_model("hf-hub:OWNER/{about["model"]}", pretrained=True).eval()',
        "transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))",
        "logits = model(transform(image).unsqueeze(0))  # a PIL image",
    ]
    note = f"Images of {size_text(about['size'])} px, of which the transform subtracts {mean} and divides by {std}."
    return "\n".join(["```python", *lines, "```", "", note])


def _facts(about: Row) -> list[tuple[str, str]]:
    recipe = f"`{about['recipe']}` of mettle" if about["recipe"] else "none: a published checkpoint"
    return [
        ("architecture", f"`{about['arch']}` of timm"),
        ("trained on", f"`{about['dataset']}`; licence: {about['data']['licence'] or card.UNSTATED}"),
        ("recipe", recipe),
        *card.origin(about),
        ("licence of the weights", about.get("licence") or card.UNSTATED),
    ]
