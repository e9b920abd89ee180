"""Working directories for tests that run Snakemake: the workflow's code with a configuration, and Snakemake in them."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

import warm
from imports import ROOT

PLAIN = {
    "epochs": 1,
    "batch_size": 64,
    "optimizer": {"name": "adamw", "lr": 0.004, "weight_decay": 0.05},
    "schedule": {"name": "cosine"},
    "input": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3},
}
SHEET = "model\tdataset\tarch\trecipe\tseed\tsource\n"


def copy(folder, *more):
    """The workflow's code in a folder, which is made if need be, and what else of the project is named."""
    for name in ("workflow", "envs", "profiles", *more):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    numbers = folder / "resources" / "published"
    numbers.mkdir(parents=True, exist_ok=True)
    for name in ("light_recipe.tsv", "robustbench.tsv"):  # which every conversion and card reads
        shutil.copy(ROOT / "resources" / "published" / name, numbers)
    (folder / "slurm").symlink_to("profiles/slurm")
    return folder


def plant(folder, config, recipes=None, models=()):
    """The same with a configuration, recipes by name (`plain`, if none are given), and models of digits.

    A model is (architecture, recipe, seed), and its name if it is not made of these.
    """
    recipes = recipes or {"plain": PLAIN}
    copy(folder)
    (folder / "config" / "recipes").mkdir(parents=True)
    (folder / "config" / "models").mkdir()
    shutil.copy(ROOT / "config" / "datasets.tsv", folder / "config")
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    for name, recipe in recipes.items():
        (folder / "config" / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "config" / "models" / "demo.tsv").write_text(SHEET + "".join(_row(*model) for model in models))
    return folder


def _row(arch, recipe, seed, name=""):
    return f"{name or f'{arch}-{recipe}-s{seed}'}\tdigits\t{arch}\t{recipe}\t{seed}\ttrain\n"


def snakemake(folder, *arguments, **variables):
    """A finished Snakemake, whatever its exit status; `variables` are laid over the environment."""
    with tempfile.TemporaryDirectory() as where:
        files = [Path(where, name) for name in ("out", "err")]
        status = warm.snakemake(arguments, folder, environment() | variables, *files)
        return subprocess.CompletedProcess(command(*arguments), status, *(file.read_text() for file in files))


def command(*arguments):
    return [sys.executable, "-m", "snakemake", *arguments]


def environment():
    """This process's environment without what would reach into a Snakemake or its loggers."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "SNAKEMAKE", "WANDB"))}


def said(answer):
    return answer.stdout + answer.stderr


def succeeded(answer):
    """What a Snakemake said that ended well."""
    assert answer.returncode == 0, said(answer)
    return said(answer)
