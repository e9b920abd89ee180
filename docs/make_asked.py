"""Writes what jobs at paper scale ask for into docs/cluster.md; with --check, says whether it is up to date.

Nothing is run: memory and time follow from config/paper.yaml, the sheets and profiles/slurm.
"""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import blocks
import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "cluster.md"
sys.path.insert(0, str(ROOT / "benchmarks"))

import asked  # noqa: E402 (the path comes first)

# Cells as they stand in the paths of results: a cheap and a dear job of every rule whose jobs take long.
JOBS = (
    "prep/imagenet/val",
    "prep/cifar10_ddpm/train",
    "train/resnet18_32-cifar10_eps0-s0",
    "train/xcit_small_12_p16_224-light-s0",
    "tokens/dinov2_vits14_tokens",
    "transfer/coco-regular-full",
    "attack/imagenet/resnet50-imagenet_eps0-s0/pgd20_l2_eps3",
    "attack/imagenet/xcit_small_12_p16_224-light-s0/autoattack_linf_eps4_255",
    "convergence/imagenet/xcit_small_12_p16_224-light-s0",
    "corrupt/imagenet/resnet50-imagenet_eps0-s0/fifteen_224-gaussian_noise",
    "invert/imagenet/resnet50-imagenet_eps0-s0",
    "represent/imagenet/natural/resnet50-imagenet_eps0-s0",
    "represent/imagenet/natural/vgg16_bn-imagenet_eps0-s0",
    "compare/imagenet/group/natural/cka/densenet161-imagenet_eps0-s0",
    "compare/imagenet/group/natural/rtd/densenet161-imagenet_eps0-s0",
    "compare/imagenet/group/natural/jaccard/densenet161-imagenet_eps0-s0",
    "subgroups/imagenet/group/natural/agreement/cka/densenet161-imagenet_eps0-s0",
    "subgroups/imagenet/group/natural/agreement/procrustes/densenet161-imagenet_eps0-s0",
    "agree/imagenet/group/natural/densenet161-imagenet_eps0-s0",
)


def rows() -> Iterator[list[str]]:
    """What the first attempt of each job asks for: job, threads, GPU, memory and run time.

    Raises
    ------
    ValueError
        If a job is of no rule, or its cell is in no sheet.
    """
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder, contextlib.chdir(folder):  # where no data set is packed
        plan = asked.configured(["config/paper.yaml"])
        for job in JOBS:
            rule, cell = _cell(plan, job)
            mb, minutes = asked.amounts(plan, profile, rule, cell)
            threads = min(profile["set-threads"].get(rule, 1), profile["cores"])
            gpu = profile["set-resources"].get(rule, {}).get("gpu", 0)
            yield [f"`{job}`", str(threads), str(gpu), f"{mb / 1000:,.1f}", f"{minutes / 60:,.1f}"]


def _cell(plan: "asked.Plan", job: str) -> tuple[str, dict[str, str]]:
    for rule, form in asked.rules(plan).items():
        for folder in (plan.benchmarks, "benchmarks/results"):
            if found := re.fullmatch(form, f"{folder}/{job}.tsv"):
                return rule, found.groupdict()
    raise ValueError(f"docs/make_asked.py: {job} is a job of no rule: write it as its benchmark file is named")


def text() -> str:
    """The page with its table."""
    table = blocks.table(["job", "threads", "GPUs", "GB", "hours"], rows())
    return blocks.fill(PAGE.read_text(encoding="utf-8"), {"asked": table}.get)


if __name__ == "__main__":
    made = text()
    if "--check" not in sys.argv:
        PAGE.write_text(made, encoding="utf-8")
    elif made != PAGE.read_text(encoding="utf-8"):
        sys.exit("docs/cluster.md is out of date: make docs")
