"""Targets: the grammar of the paths of `results`, and those that a command line asks for."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mettle.plan.faults import Names, first_fault
from mettle.plan.names import SHARED_STAGES
from mettle.plan.stores import SHARED

if TYPE_CHECKING:
    from mettle.plan.plan import Plan

# Every file that a rule makes, in the default folder; wildcards of `_NARROWER` are for some of the names only.
PATHS = (
    "results/prep/{dataset}/{split}.lmdb",
    "results/prep/{dataset}/{split}.parquet",
    "results/prep/{packed}/{split}.targets.lmdb",
    "results/prep/{dataset}/{split}.html",
    "results/train/{model}/weights.safetensors",
    "results/train/{trained}/epochs.parquet",
    "results/train/{hardened}/steps.parquet",
    "results/train/{headed}/heads.parquet",
    "results/train/{registered}/dinov2.pth",
    "results/train/{registered}/dinov2.yaml",
    "results/train/{model}/attacked/{shared}.npy",
    "results/train/{model}/attacked/{shared}.parquet",
    "results/train/{kept}/checkpoints",
    "results/cards/{model}.md",
    "results/cards/{model}.html",
    "results/cards/{model}.parquet",
    "results/attack/{dataset}/{model}/{attack}.parquet",
    "results/pictures/{dataset}/{pictured}/{attack}.parquet",
    "results/drift/{dataset}/{model}/{drift}.parquet",
    "results/activations/{dataset}/{model}/{drift}.parquet",
    "results/activations/{dataset}/{model}/{drift}.surface.parquet",
    "results/corrupt/{dataset}/{model}/{corruptions}.parquet",
    "results/corrupted/{dataset}/{named}/{condition}.lmdb",
    "results/corrupted/{dataset}/{named}/{condition}.parquet",
    "results/corrupted/{dataset}/{named}/examples.parquet",
    "results/robustness/{dataset}/{model}/{named}.parquet",
    "results/effectiveness/{dataset}/{model}.parquet",
    "results/convergence/{dataset}/{model}.parquet",
    "results/perturb/{kind}/{dataset}/{model}/{attack}.lmdb",
    "results/perturb/{kind}/{dataset}/{model}/{attack}.parquet",
    "results/semantics/{dataset}/{judged}/{attack}.parquet",
    "results/pairs/{dataset}.parquet",
    "results/invert/{dataset}/{model}.lmdb",
    "results/invert/{dataset}/{model}.parquet",
    "results/represent/{dataset}/{images}/{model}.parquet",
    "results/represent/{dataset}/crossed/{set}/{model}",
    "results/layers/{dataset}/{model}.parquet",
    "results/compare_layers/{dataset}/{measure}/{model}/{model_b}.parquet",
    "results/compare/{dataset}/{set}/{compared}/{measure}/{model}.parquet",
    "results/subgroups/{dataset}/{set}/{compared}/{groups}/{measure}/{model}.parquet",
    "results/agree/{dataset}/{set}/{compared}/{model}.parquet",
    "results/probe/{dataset}/{model}.epochs.parquet",
    "results/probe/{dataset}/{model}.parquet",
    "results/probe_agree/{dataset}/{set}/{model}.parquet",
    "results/tables/{figure}.parquet",
    "results/tables/{figure}.html",
    "results/figures/{drawn}.pdf",
    "results/figures/{drawn}.png",
    "results/leaderboard.html",
    "results/leaderboard.parquet",
    "results/published/{submitted}.json",
    "results/published/{submitted}.parquet",
    "results/hub/{uploaded}",
    "results/tfds/{dataset}",
    "results/dinov2/{foldered}",
    "results/mmseg/{nyu}",
    "results/tfds_perturb/{kind}/{dataset}/{model}/{attack}",
)
SHOWN = ("tables", "figures")
_NARROWER = {"packed": "dataset", "foldered": "dataset", "nyu": "dataset"}
_NARROWER |= {"named": "corruptions", "condition": "corruption}-{severity"}
_NARROWER |= {"pictured": "model", "hardened": "model", "headed": "model", "registered": "model"}
_NARROWER |= {"submitted": "model", "uploaded": "model"}
_NARROWER |= {"trained": "model", "kept": "model", "judged": "model", "compared": "images", "drawn": "figure"}
# Options of Snakemake after which a path is not a target.
_OTHERS = {
    "--report",
    "--archive",
    "--cleanup-metadata",
    "--cm",
    "--directory",
    "-d",
    "--wait-for-files",
    "--export-cwl",
    "--default-storage-prefix",
    "--local-storage-prefix",
}
_GRAMMAR = [path.split("/")[1:] for path in PATHS]
_STAGES = {parts[0] for parts in _GRAMMAR}


def check_targets(plan: "Plan", arguments: Iterable[str]) -> None:
    """Check the targets on a command line of Snakemake; rules, and paths outside of results, are left to Snakemake.

    Without a path every figure is checked, since rule `all` asks for them.

    Parameters
    ----------
    plan : with all names
    arguments : of the command line

    Raises
    ------
    ValueError
        If a path has an unknown name; the message has a suggestion, or says where it is configured.
    """
    targets = list(paths(plan, arguments))
    for target in targets:
        if text := unknown(plan, target):
            raise ValueError(f"target '{target}': {text}")
    for figure in plan.config["figures"]:
        if not targets or any(Path(target).stem == figure for target in targets if _stage(plan, target) in SHOWN):
            plan.checked(figure)


def paths(plan: "Plan", arguments: Iterable[str]) -> Iterator[str]:
    """The results that a command line names as targets, or after `--until` and similar options."""
    option = ""
    for argument in arguments:
        if argument.startswith("-"):
            option, _, argument = argument.partition("=")
        if option not in _OTHERS and _parts(plan, path := os.path.normpath(argument)):
            yield path


def _parts(plan: "Plan", path: str) -> list[str]:
    """The parts of a path below the folder of results, or below the shared one; empty for other paths."""
    for folder in (plan.results, SHARED):
        if path.startswith(f"{folder}/"):
            return path.removeprefix(f"{folder}/").split("/")
    return []


def _stage(plan: "Plan", path: str) -> str:
    return _parts(plan, path)[0]


def unknown(plan: "Plan", target: str) -> str | None:
    """What is wrong with a path of results, or None; None also for a stage that is not ours and resembles none."""
    stage, *rest = _parts(plan, target)
    home = SHARED if stage in SHARED_STAGES else plan.results
    if stage in _STAGES and target != "/".join([home, stage, *rest]):
        return f"by this configuration it is {'/'.join([home, stage, *rest])}"
    if stage not in _STAGES:
        meant = difflib.get_close_matches(stage, _STAGES, n=1, cutoff=0.8)
        return f"unknown stage '{stage}': did you mean '{meant[0]}'?" if meant and rest else None
    forms = [form for form in _GRAMMAR if form[0] == stage]
    read = {_literal(form): names for form in forms if (names := _read(form, [stage, *rest])) is not None}
    faults = {literal: first_fault(plan, names) for literal, names in read.items()}
    if None in faults.values():
        return None
    return faults[max(faults)] if faults else f"{home}/{stage} holds {', '.join(map(_shown, forms))}"


def _read(form: list[str], parts: list[str]) -> Names | None:
    """The names in a path by wildcard; None if it does not have this form."""
    if len(form) != len(parts):
        return None
    named = {}
    for pattern, part in zip(form, parts, strict=True):
        wildcard, ending = _wildcard(pattern)
        if not part.endswith(ending) or (not wildcard and part != ending):
            return None
        named[wildcard] = part.removesuffix(ending)
    return named


def _literal(form: list[str]) -> int:
    """How much of a form is literal: of two forms that match a path, the more literal one is meant."""
    return sum(len(_wildcard(pattern)[1]) for pattern in form)


def _wildcard(pattern: str) -> tuple[str, str]:
    """`{model}.parquet` to its wildcard and its ending; a part without a wildcard is only ending."""
    found = re.fullmatch(r"\{(\w+)\}(.*)", pattern)
    return (found[1], found[2]) if found else ("", pattern)


def _shown(form: list[str]) -> str:
    """A form below its stage, with the wildcards of the rules."""
    return re.sub(r"\{(\w+)\}", lambda found: f"{{{_NARROWER.get(found[1], found[1])}}}", "/".join(form[1:]))
