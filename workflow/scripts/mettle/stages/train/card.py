"""
The card of a model in Markdown: facts to know before its weights are used.

Made from the metadata of the weights; current values of the model's row and the published sheets take precedence over
those from when the weights were made.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mettle.digests import sha256_of
from mettle.files import atomic
from mettle.models import ARCHITECTURES
from mettle.models.weights import described
from mettle.units import ball_text, size_text

_FEW = 20  # class names that are listed
UNSTATED = "not stated"
# Columns of sheets of published numbers, in words.
_PUBLISHED = {
    "autoattack": "AutoAttack, standard version",
    "best": "the strongest known",
    "corruptions": "common corruptions, mean",
}


def write(weights: str | Path, said: dict[str, Any], target: str | Path) -> None:
    """Write the card of a model.

    Parameters
    ----------
    weights : safetensors of this project
    said : of `mettle.models.weights.SAID` what is said now; `row`, cells of the model's row, for weights that do not
        say them; and `data`, licence and list of class names of the training data
    target : file to write

    Raises
    ------
    ValueError
        If the weights cannot be read.
    """
    with atomic(target) as tmp:
        tmp.write_text(text(facts(weights, said)), encoding="utf-8")


def facts(weights: str | Path, said: dict[str, Any]) -> dict[str, Any]:
    """The metadata of weights, with what is said of them now, their path and their SHA-256; parameters as `write`."""
    known = said["row"] | described(weights) | {key: value for key, value in said.items() if value}
    return known | {"weights": str(weights), "weights_sha256": sha256_of(weights)}


def text(about: dict[str, Any]) -> str:
    """The card.

    Parameters
    ----------
    about : metadata of the weights with `SAID`, `data`, `weights` (path) and `weights_sha256`
    """
    parts = [f"# {about['model']}", summary(about), _facts(about), "## Published accuracy", expected(about)]
    parts += ["## Use", _use(about), "## Cite", cite(about)]
    return "\n\n".join(parts) + "\n"


def summary(about: dict[str, Any]) -> str:
    """Architecture, classes and training attack in a sentence."""
    against = ball_text(about["threat"], about["eps"]) if about["eps"] else "no attack"
    return f"`{about['arch']}`, {about['classes']:,} classes of `{about['dataset']}`, trained against {against}."


def _facts(about: dict[str, Any]) -> str:
    data = about["data"]
    rows = [
        ("weights", f"`{about['weights']}`"),
        ("SHA-256 of the weights", f"`{about['weights_sha256']}`"),
        ("licence of the weights", about.get("licence") or UNSTATED),
        *origin(about),
        ("input", f"RGB in [0, 1], {size_text(about['size'])} px; normalised inside the model"),
        ("mean, std", f"{_numbers(about['mean'])}; {_numbers(about['std'])}"),
        ("resized", _resized(about)),
        ("classes", _classes(about)),
        ("data", f"`{about['dataset']}`; licence: {data['licence'] or UNSTATED}"),
        (
            "recipe",
            f"`config/recipes/{about['recipe']}.yaml`" if about["recipe"] else "none: the row states the input",
        ),
        *((f"code, `{path}`", f"SHA-256 `{digest}`") for path, digest in about.get("code", {}).items()),
    ]
    return table(("", ""), rows)


def origin(about: dict[str, Any]) -> list[tuple[str, str]]:
    """Origin of the weights: a published file, or a training here."""
    if "source" not in about:
        made = about.get("provenance", {})
        return [("source", f"trained here, seed {about['seed']}, commit {made.get('commit', 'unknown')}")]
    mirror = [("second address", about["mirror"])] if about.get("mirror") else []
    return [("source", about["source"]), *mirror, ("SHA-256 of the source", f"`{about['sha256']}`")]


def _resized(about: dict[str, Any]) -> str:
    """How an image comes to the input's size."""
    if not (resize := about["resize"]):
        return "no"
    to = f"shorter side to {resize} px" if isinstance(resize, int) else f"to {size_text(resize)} px"
    return f"{to}, {about['interpolation']}, centre crop"


def _classes(about: dict[str, Any]) -> str:
    names, listed = about.get("class_names") or [], about["data"]["names"]
    if names and len(names) <= _FEW:
        return ", ".join(names)
    order = f" in the order of `{listed}`" if listed else ""
    return f"{about['classes']:,}{order}"


def expected(about: dict[str, Any]) -> str:
    """A row per set of images and attack, of which the first is none."""
    rows = []
    for found in about.get("expected") or []:
        cell, source = f"`{found['images']}`", found["source"]
        rows.append((cell, "none", "", f"{found['clean']:.4f}", source))
        for key, words in _PUBLISHED.items():
            if key in found and not (key == "best" and found["best"] == found.get("autoattack")):
                ball = "" if key == "corruptions" else ball_text(found["norm"], found["eps"])
                rows.append((cell, words, ball, f"{found[key]:.4f}", source))
    return table(("images", "attack", "ball", "accuracy", "stated in"), rows) if rows else "None is known."


def _use(about: dict[str, Any]) -> str:
    lines = ["from mettle import models", "", f'model, about = models.load("{about["weights"]}")']
    lines.append("logits = model(images)  # images (n, 3, h, w), float in [0, 1]")
    return "\n".join(["In mettle's folder, by the Python of its environment:", "", "```python", *lines, "```"])


def cite(about: dict[str, Any]) -> str:
    """What to cite for weights and architecture, a line each."""
    known = ARCHITECTURES.get(about["arch"])
    cited = {"weights": about.get("reference"), "architecture": known and known.reference}
    return "\n".join(f"- {what}: {paper}" for what, paper in cited.items() if paper) or "Nothing is stated."


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
