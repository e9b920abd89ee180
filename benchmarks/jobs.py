"""Jobs at real size: made photographs at 224 pixels and networks of timm with random weights, through the workflow.

Writes a folder with its own sheets and configuration, runs every rule that a network or a pair of models is in, and
prints what the jobs asked for and used, as benchmarks/asked.py does. Values mean nothing; memory and time are those of
trained networks. 20 minutes on two cores; `-n` and `--networks` make it shorter or longer.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import asked
import numpy as np
import record
import yaml
from PIL import Image

ROOT = Path(__file__).parents[1]
NETWORKS = ["vgg11", "resnet50", "densenet121", "convnext_tiny", "vit_small_patch16_224", "xcit_small_12_p16_224"]
CLASSES = 10
RULES = ["represent", "attack", "invert", "compare", "subgroups", "agree"]


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument("--folder", type=Path, help="to keep; what is there already is not made again")
    parser.add_argument("-n", type=int, default=1000, help="photographs")
    parser.add_argument("--batch", type=int, default=250, help="images per pass")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        options.folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run(options)
        stack.enter_context(contextlib.chdir(options.folder))
        plan, given = asked.configured([]), yaml.safe_load(Path("profile/config.yaml").read_text())
        columns = ["job", "asked, MB", "used, MB", "asked, minutes", "used, minutes"]
        with record.table("jobs", columns, options, options.cores, ["torch", "timm", "snakemake"]) as add:
            for job in sorted(asked.jobs(plan, given)):
                path = job.path.removeprefix("benchmarks/results/").removesuffix(".tsv")
                add(f"`{path}`", *(text.strip() for text in asked.numbers([job]).split("|")))


def run(options: argparse.Namespace) -> None:
    """Make the folder and run its jobs."""
    options.folder.mkdir(parents=True, exist_ok=True)
    photographs(options.folder / "resources" / "photos" / "val", options.n)
    for name in options.networks:
        checkpoint(options.folder / "resources" / "weights" / f"{name}.pt", name)
    names = sheets(options.folder, options.networks)
    (options.folder / "config" / "config.yaml").write_text(yaml.safe_dump(configuration(options)))
    last = names[-1]
    pairs = [f"{measure}/{last}.parquet" for measure in configuration(options)["compare"]["measures"]]
    targets = [f"results/attack/photos/{name}/few.parquet" for name in names]
    targets += [f"results/invert/photos/{name}.lmdb" for name in names]
    targets += [f"results/compare/photos/group/natural/{pair}" for pair in pairs]
    targets += [f"results/subgroups/photos/group/natural/agreement/{pair}" for pair in pairs]
    targets += [f"results/agree/photos/group/natural/{last}.parquet"]
    profile(options.folder / "profile", options.cores)
    started = ["--snakefile", str(ROOT / "Snakefile"), "--directory", ".", "--profile", "profile", "--keep-going"]
    command = [sys.executable, "-m", "snakemake", *started, "--cores", str(options.cores), "--", *targets]
    subprocess.run(command, cwd=options.folder, check=True)


def photographs(folder: Path, n: int) -> None:
    """Smooth noise of the size of photographs, as JPEG."""
    rng = np.random.default_rng(0)
    for number in range(n):
        path = folder / f"class{number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
            fine = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC)).astype(int)
            noisy = (fine + rng.integers(-20, 21, fine.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(path, quality=90)


def checkpoint(path: Path, name: str) -> None:
    """Random weights of a network of timm."""
    if not path.exists():
        import timm
        import torch

        torch.manual_seed(0)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(timm.create_model(name, num_classes=CLASSES).state_dict(), path)


def sheets(folder: Path, networks: list[str]) -> list[str]:
    """Write the sheets; names of the models."""
    (folder / "config" / "models").mkdir(parents=True, exist_ok=True)
    columns = "dataset\ttask\tclasses\tsize\treader\tsource\ttest\n"
    row = f"photos\tclassification\t{CLASSES}\t0\tfolder\tresources/photos\tval\n"
    (folder / "config" / "datasets.tsv").write_text(columns + row)
    names = [f"{name}-timm_224-s0" for name in networks]
    columns = "model\tdataset\tarch\trecipe\tseed\tsource\n"
    lines = [
        f"{model}\tphotos\t{name}\ttimm_224\t0\tresources/weights/{name}.pt\n"
        for model, name in zip(names, networks, strict=True)
    ]
    (folder / "config" / "models" / "demo.tsv").write_text(columns + "".join(lines))
    return names


def configuration(options: argparse.Namespace) -> dict:
    few = {"method": "pgd", "norm": "linf", "eps": "1/255", "steps": 5, "images": 16, "early_stop": False}
    return {
        "attack": {"batch_size": 16, "attacks": {"few": few}},
        "invert": {"images": 8, "steps": 5, "batch_size": 8},
        "represent": {"sample": options.n, "batch_size": options.batch},
        "compare": {"measures": {"procrustes": {}, "jaccard": {}}},
        "figures": {},
    }


def profile(folder: Path, cores: int) -> None:
    """Threads of the rules."""
    folder.mkdir(exist_ok=True)
    content = {"cores": cores, "set-threads": dict.fromkeys(RULES, cores)}
    (folder / "config.yaml").write_text(yaml.safe_dump(content))


if __name__ == "__main__":
    main()
