"""What memory and time that jobs ask for are worked out from; writes the two tables in workflow/scripts/mettle/plan.

`--networks`: operations and memory of a pass through each architecture of the sheets and the common ones of timm,
counted on tensors without values (the meta device), so that no pass is computed: 10 minutes. `--measures`: seconds and
memory of each similarity measure at 5,000 images and 1,024 features on one thread, each in a process of its own: 5
minutes. Seconds are those that a process had of a core, so that it does not matter what else the machine does.
"""

import argparse
import csv
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import record

from mettle import measures, schema
from mettle.plan import costs, zoo
from mettle.plan.loads import BACK

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "workflow" / "scripts" / "mettle" / "plan"
TIMM = (
    *("vgg11", "vgg19_bn", "resnet101", "resnext101_32x8d", "densenet121", "mobilenetv3_large_100", "efficientnet_b0"),
    *("regnety_160", "convnext_base", "convnext_large", "vit_small_patch16_224", "vit_base_patch16_224"),
    *("vit_large_patch16_224", "deit_base_patch16_224", "swin_base_patch4_window7_224"),
)
COLUMNS = ["arch", "size", "parameters", "gflop", "features", "forward_mb", "gradient_mb", "training_mb"]


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument(
        "--networks", nargs="*", metavar="ARCH", help="besides those of the sheets; known ones stay as they are"
    )
    parser.add_argument("--measures", nargs="*", metavar="NAME", help="all, if none is named")
    parser.add_argument("--check", nargs="+", metavar="ARCH", help="real passes beside the table, on one thread")
    parser.add_argument("--one", help="used by the bench itself: a measure")
    parser.add_argument("--passes", help="used by the bench itself: an architecture")
    options = parser.parse_args()
    if options.one:
        return print(*one(options.one))
    if options.passes:
        return print(*passes(options.passes))
    if options.check:
        check(options.check, options)
    if options.networks is not None:
        known = read("architectures")
        for arch, size in architectures(options.networks).items():
            if arch not in known:
                known[arch] = network(arch, size)
                write("architectures", COLUMNS, known)
    if options.measures is not None:
        known = read("measures")
        for name in options.measures or measures.MEASURES:
            known[name] = measure(name)
            write("measures", ["measure", "seconds", "mb"], known)


def read(name: str) -> dict[str, list]:
    """Rows of a table that is there, by name."""
    path = TABLES / f"{name}.tsv"
    lines = path.read_text().splitlines()[1:] if path.exists() else []
    return {line.split("\t")[0]: line.split("\t") for line in lines}


def write(name: str, columns: list[str], rows: dict[str, list]) -> None:
    """A table of tab-separated columns, by name."""
    with (TABLES / f"{name}.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerows([columns, *(rows[key] for key in sorted(rows))])


# Networks


def architectures(more: list[str]) -> dict[str, int]:
    """Size of image by name of every architecture of the sheets, then of those of RobustBench, of timm or asked for."""
    sheets = sorted((ROOT / "config" / "models").glob("*.tsv"))
    rows = [row for path in sheets for row in schema.read_sheet(path, "models").values()]
    named = {row["arch"]: _size(row["dataset"], row["arch"]) for row in rows if row["arch"]}
    of_zoo = [entry["arch"] for entry in zoo.entries().values() if "arch" in entry]
    return dict.fromkeys([*TIMM, *more, *of_zoo], 224) | named


def _size(dataset: str, arch: str) -> int:
    small = dataset in ("digits", "scenes") or arch.endswith("_32")
    return 32 if small else 224


def network(arch: str, size: int) -> list:
    """The columns of an architecture."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from mettle import models

    print(arch, flush=True)
    with torch.device("meta"):
        model = models.Classifier(models.build(arch, 1000, size), [0.5] * 3, [0.5] * 3, size).eval()
        model.requires_grad_(False)  # the counter looks for the gradients of what needs them
        image = torch.zeros(1, 3, size, size)
    with torch.no_grad():
        _, features = model.both(image)  # the first time, which looks for the last layer
        with FlopCounterMode(display=False) as counter:
            model(image)
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    kept = [round(per_image(model, size, kind), 2) for kind in ("forward", "gradient", "training")]
    return [arch, size, round(parameters, 2), round(counter.get_total_flops() / 1e9, 3), features.shape[1], *kept]


def per_image(model, size: int, kind: str, batch: int = 16) -> float:
    """Most MB of tensors alive by image: in a forward pass, with one back to the image, or one back to all weights."""
    import torch
    from torch.multiprocessing.reductions import StorageWeakRef
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Alive(TorchDispatchMode):
        held, total, most = {}, 0, 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for tensor in tree_leaves(out):
                if isinstance(tensor, torch.Tensor):
                    storage = tensor.untyped_storage()
                    self.held[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
                    self.total += storage.nbytes()
            if self.total > self.most:  # perhaps, if nothing of it is gone
                self.held = {key: pair for key, pair in self.held.items() if not pair[0].expired()}
                self.total = sum(size for _, size in self.held.values())
                self.most = max(self.most, self.total)
            return out

    model.requires_grad_(kind == "training").train(kind == "training")
    with Alive() as alive, torch.set_grad_enabled(kind != "forward"):
        out = model(torch.zeros(batch, 3, size, size, device="meta", requires_grad=kind == "gradient"))
        if kind != "forward":
            out.sum().backward()
    model.zero_grad(set_to_none=True)
    return alive.most / batch / 1e6


def check(names: list[str], options: argparse.Namespace) -> None:
    """What real passes take beside what the table says."""
    columns = ["architecture, 224 px", "MB an image, forward", "table", "forward and backward", "table"]
    columns += ["Gflop/s, forward", "forward and backward"]
    with record.table("passes", columns, options, 1, ["torch", "timm"]) as add:
        for name in names:
            command = [sys.executable, __file__, "--passes", name]
            answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            forward, fast, backward, slow = map(float, answer.split())
            known = costs.network(name, 224)
            speeds = [f"{known.gflop / fast:.0f}", f"{BACK * known.gflop / slow:.0f}"]
            add(name, f"{forward:.1f}", str(known.forward), f"{backward:.1f}", str(known.gradient), *speeds)


def passes(arch: str, size: int = 224, batch: int = 24) -> list[float]:
    """MB and seconds of a core that an image takes in a forward pass, then in one forward and backward."""
    import torch

    from mettle import models

    torch.set_num_threads(1)
    model = models.create(arch, 10, size, [0.5] * 3, [0.5] * 3, 0).eval().requires_grad_(False)
    images, found = torch.rand(batch, 3, size, size), []
    with torch.no_grad():
        model(images[:1])
    Path("/proc/self/clear_refs").write_text("5")  # the high water of making the weights is forgotten
    before = high_water()
    for back in (False, True):  # the second needs more than the first
        with torch.set_grad_enabled(back):
            image, started = images.clone().requires_grad_(back), time.process_time()
            out = model(image)
            if back:
                torch.autograd.grad(out.sum(), image)
        found += [(high_water() - before) / batch, (time.process_time() - started) / batch]
    return found


# Measures


def measure(name: str) -> list:
    """Seconds of a score and MB of a process of its own."""
    command = [sys.executable, __file__, "--one", name]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds, mb = map(float, answer.split())
    print(f"{name}: {seconds:.1f} s, {mb:.0f} MB", flush=True)
    return [name, round(seconds, 2), round(mb)]


def one(name: str, n: int = 5_000, d: int = 1024) -> tuple[float, float]:
    """Seconds of a core for a score and what comes before it, and MB beyond the imports, features included."""
    from threadpoolctl import threadpool_limits

    measures.floor(name, 600, 4, 4, 0)  # what a measure imports or compiles once
    before = high_water()
    shared, *own = (np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32) for seed in range(3))
    with threadpool_limits(1):
        started = time.process_time()
        measures.compare(name, shared + own[0], shared + own[1])
        return time.process_time() - started, high_water() - before


def high_water() -> float:
    """Most memory that this process had so far, in MB."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1000


if __name__ == "__main__":
    main()
