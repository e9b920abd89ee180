"""Writes the tables and pictures of docs/transfer.md from its finished figures, which that page says how to make."""

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import blocks
import numpy as np
import pandas as pd

from mettle import tables
from mettle.corruptions import GROUPS
from mettle.plan.figures import FIGURES
from mettle.stages.corrupt.robustness import conditions
from mettle.stages.plot.transfer import MODES, TITLES, value_of
from mettle.tasks import scores
from mettle.tasks.scores import robustness

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "transfer.md"
RESULTS = ROOT / "results"
CORRUPTIONS = "fifteen"
DRAWS = 1000
_GROUPS = [name for name in GROUPS if name != "extra"]


@cache
def read(figure: str) -> pd.DataFrame:
    """The table of a figure."""
    return tables.read(RESULTS / "tables" / f"{figure}.parquet", FIGURES[figure].table)


def models(figure: str) -> Iterator[tuple[list[str], pd.DataFrame]]:
    """Task with its score, backbone and mode of every model, and its rows."""
    for (task, backbone, mode), own in read(figure).groupby(["task", "backbone", "mode"], sort=False):
        yield [f"{task}, {TITLES[own['measure'].iloc[0]]}", backbone, MODES[mode]], own


def picture(figure: str, width: int, seen: str) -> str:
    """Copy a figure to the docs; the line that shows it, with what is seen in words."""
    shutil.copyfile(RESULTS / "figures" / f"{figure}.png", PAGE.with_name(f"{figure}.png"))
    return f'<img src="{figure}.png" width="{width}" alt="{seen}">\n\n'


def quality() -> str:
    """The figure; clean and corrupted quality of every model and what is left of it, with intervals."""
    parts = {"clean": ("clean", "score"), "corrupted (mPC)": ("mean", "mpc"), "left (rPC)": ("mean", "rpc")}
    rows = [[*about, *(_between(value_of(own, *part)) for part in parts.values())] for about, own in models("transfer")]
    seen = "Corrupted against clean quality by task, backbone and mode of transfer, and what is left by group"
    return picture("transfer", 820, seen) + blocks.table(["task", "backbone", "transfer", *parts], rows)


def groups() -> str:
    """Quality under the corruptions of each group, and the part of the clean one that it is."""
    rows = []
    for about, own in models("transfer"):
        found = [(value_of(own, part, "mpc"), value_of(own, part, "rpc")) for part in [*_GROUPS, "without_noise"]]
        cells = [f"{value:.2f} ± {(hi - lo) / 2:.2f} ({left[0]:.0%})" for (value, lo, hi), left in found]
        rows.append([*about, *cells])
    return blocks.table(["task", "backbone", "transfer", *_GROUPS, "without noise"], rows)


def hardened() -> str:
    """Difference of every hardened backbone to the first one, corrupted and relative, by mode of transfer."""
    of_first = {}
    rows = []
    for about, own in models("transfer"):
        name, backbone, mode = about
        found = values(own)
        if (first := of_first.setdefault((name, mode), (backbone, found)))[0] != backbone:
            rows.append([name, f"{backbone} - {first[0]}", mode, *_differences(found, first[1])])
    return blocks.table(["task", "backbones", "transfer", *_DIFFERENCES], rows)


def prime() -> str:
    """The figure; the difference that PRIME during the transfer makes, by task and backbone."""
    found = {(*about[:2], mode): values(own) for about, own in models("prime") for mode in [own["mode"].iloc[0]]}
    rows = [
        [name, backbone, *_differences(found[name, backbone, "full_prime"], found[name, backbone, "full"])]
        for name, backbone, mode in found
        if mode == "full_prime" and (name, backbone, "full") in found
    ]
    seen = "Quality with and without PRIME during the transfer, by task and backbone"
    return picture("prime", 720, seen) + blocks.table(["task", "backbone", *_DIFFERENCES], rows)


_DIFFERENCES = ["clean", "corrupted (mPC)", "without noise", "left (rPC)"]


def values(own: pd.DataFrame) -> list[np.ndarray]:
    """Those of `_DIFFERENCES` of a model, each with bootstrap samples (1 + DRAWS,), the same images for every model."""
    return _values(*own[["dataset", "task", "measure", "model"]].iloc[0])


@cache
def _values(dataset: str, task: str, measure: str, model: str) -> list[np.ndarray]:
    folder = RESULTS / "corrupt" / dataset / model
    clean, answers = conditions([folder / f"{CORRUPTIONS}{end}.parquet" for end in ("", "-clean")], task)
    weights = scores.samples(len(clean), DRAWS, np.random.default_rng(0))
    of = scores.SCORES[task][measure].of
    found = {cell: of(part, weights) for cell, part in answers.items()}
    kinds, severities = (list(dict.fromkeys(names)) for names in zip(*found, strict=True))
    parts = robustness.parts(robustness.grid(found, kinds, severities))
    before, mean, quiet = of(clean, weights), *(robustness.mean(parts[part, None]) for part in _MEANS)
    return [before, mean, quiet, robustness.relative(mean, before)]


_MEANS = robustness.ALL_OF_THEM, robustness.WITHOUT_NOISE


def _differences(ours: list[np.ndarray], theirs: list[np.ndarray]) -> list[str]:
    """Differences with intervals over images, both models on the same ones; bold where the interval leaves out 0."""
    cells = []
    for one, other in zip(ours, theirs, strict=True):
        difference = one - other
        lo, hi = scores.interval(difference[1:])
        text = f"{difference[0]:+.3f} ({lo:+.3f} to {hi:+.3f})"
        cells.append(f"**{text}**" if lo > 0 or hi < 0 else text)
    return cells


def _between(found: tuple[float, float, float]) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*found)


def made() -> str:
    """At which commit and on which processor it was made."""
    sources = read("transfer").attrs["provenance"]
    commits, processors = (
        ", ".join(sorted({source[key] for source in sources if source.get(key)})) for key in ("commit", "processor")
    )
    return f"Made at commit {commits} on {processors}."


PARTS = {part.__name__: part for part in (quality, groups, hardened, prime, made)}

if __name__ == "__main__":
    PAGE.write_text(blocks.fill(PAGE.read_text(encoding="utf-8"), lambda name: PARTS[name]()), encoding="utf-8")
