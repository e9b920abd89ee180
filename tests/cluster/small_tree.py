"""A copy of the workflow with two small models and two figures, set up for the Slurm of these tests as a site would."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml
from safetensors.numpy import load_file

import trees
from mettle import tables
from waits import FAR

MODEL = "resnet8-plain-s0"
FIGURES = ["results/figures/fig4.pdf", "results/figures/fig5.pdf"]
WEIGHTS = f"results/train/{MODEL}/weights.safetensors"
EPOCHS = 6
CONFIG = {
    "train": {"checkpoint_seconds": 0.5},
    "represent": {"sample": 100},
    "compare": {"measures": {"cka": {}}, "draws": 2},
    "figures": {
        "fig4": {"datasets": ["digits"], "eps": [0]},
        "fig5": {"dataset": "digits", "eps": [0], "measures": ["cka"], "resamples": 99},
    },
}
# What a site with this Slurm sets; the profile's own partitions fit.
SITE = {
    "resources": {"mem_mb": 512_000},
    "configfile": "config/config.yaml",
    "cores": 8,
    "set-threads": dict.fromkeys(["prep", "train", "represent", "subgroups", "agree"], 1),
    "latency-wait": 5,
    "slurm-init-seconds-before-status-checks": 1,
}

# -P, so that Snakemake finds no module of this folder.
EAGER = [sys.executable, "-P", str(Path(__file__).parent / "eager.py")]
LOCAL = {"cores": 2, "set-threads": SITE["set-threads"]}


class Tree:
    """A working directory of the workflow."""

    def __init__(self, folder, profile="slurm"):
        self.folder, self.profile = Path(folder), profile
        self.started = []
        self.log = self.folder / "logs" / "train" / f"{MODEL}.log"

    def site(self, **options):
        """Lay options over the profile."""
        path = self.folder / "profiles" / "site" / "config.yaml"
        path.parent.mkdir(exist_ok=True)
        site = SITE | {"set-resources": self.resources()} if self.profile == "slurm" else LOCAL
        path.write_text(yaml.safe_dump(site | options))

    def resources(self):
        """Those of the profile by rule, for a node without CUDA whose GPUs are pretended."""
        profile = yaml.safe_load((self.folder / "profiles" / "slurm" / "config.yaml").read_text())
        found = profile["set-resources"]
        return {rule: own | ({"without_cuda": "cpu"} if "gpu" in own else {}) for rule, own in found.items()}

    def train_with(self, options=None, **resources):
        """Ask for other resources for the rule `train`; options as for `site`."""
        found = self.resources()
        found["train"] |= resources
        self.site(**{"set-resources": found} | (options or {}))

    def start(self, *arguments, **variables):
        """A Snakemake in the background; `variables` are laid over the environment."""
        command = [*EAGER, "--profile", self.profile, "--workflow-profile", "profiles/site", *arguments]
        env = trees.environment() | variables
        number = len(list(self.folder.glob("said-*.txt")))  # by any process that runs tests
        # Into a file, since jobs on this machine that outlive it would keep a pipe open.
        with (self.folder / f"said-{number}.txt").open("w+b") as said:
            process = subprocess.Popen(command, cwd=self.folder, env=env, stdout=said, stderr=said)
        self.started.append(process)
        process.said = Path(said.name)
        return process

    def end(self):
        """End what a test that failed has left."""
        for process in self.started:
            process.kill()

    def snakemake(self, *arguments, **variables):
        """What a Snakemake said, which ended well."""
        return ended(self.start(*arguments, **variables))

    def snakemake_with(self, gpus, *arguments):
        """The same on a workstation with these GPUs."""
        self.site(resources={"gpu": len(gpus)})
        return self.snakemake(*arguments, CUDA_VISIBLE_DEVICES=",".join(gpus))

    def said(self):
        """The log of training."""
        return self.log.read_text() if self.log.exists() else ""

    def epoch(self):
        """Epochs that training says are over."""
        return len(re.findall(r"epoch \d+: ", self.said()))

    def weights(self):
        return load_file(self.folder / WEIGHTS)

    def epochs(self):
        return tables.read(self.folder / WEIGHTS.replace("weights.safetensors", "epochs.parquet"), tables.EPOCHS)

    def whole(self):
        """Every file of results opens; nothing temporary is left."""
        for path in (self.folder / "results").rglob("*"):
            assert ".tmp" not in path.suffixes, path
            if path.suffix == ".parquet":
                pd.read_parquet(path)
            if path.suffix == ".safetensors":
                load_file(path)


def ended(process, code=0):
    """What a Snakemake said, once it has ended with a status."""
    try:
        process.wait(FAR)
    finally:
        process.kill()
        said = process.said.read_text()
        assert process.wait() == code, said
    return said


def same(first, second):
    """Whether two trees have the same trained numbers, to the last bit."""
    decided = [tree.epochs().drop(columns="images_per_second") for tree in (first, second)]  # a seed decides no speed
    pd.testing.assert_frame_equal(*decided, check_exact=True)
    one, other = first.weights(), second.weights()
    return list(one) == list(other) and all((one[key] == other[key]).all() for key in one)


def made(folder, prepared=None, profile="slurm"):
    """Make a tree; with the data sets of another one, which are then not made again."""
    folder.mkdir(exist_ok=True)
    models = [("resnet8", "plain", seed) for seed in (0, 1)]
    trees.plant(folder, CONFIG, {"plain": trees.PLAIN | {"epochs": EPOCHS}}, models)
    if prepared:
        for name in ("results/prep", ".snakemake/metadata"):
            shutil.copytree(prepared / name, folder / name)
    found = Tree(folder, profile)
    found.site()
    return found
