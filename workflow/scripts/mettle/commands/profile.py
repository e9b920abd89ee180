"""
Cost of a network: parameters, multiply-adds, and images per second of its passes, adversarial training steps included.

    python -m mettle.commands.profile resnet50 xcit_small_12_p16_224 --batch 64 --steps 1 10

`make profile` calls it. The steps are those of the training stage itself: the losses `standard`, `adversarial` and
`trades`, with AdamW.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mettle import models, schema, tables
from mettle.files import atomic
from mettle.models import optim
from mettle.perturb import Draws
from mettle.perturb.goal import cross_entropy
from mettle.perturb.oracle import ascent
from mettle.stages.train.losses import LOSSES, Step

Pass = Callable[[Tensor, Tensor], Any]  # of a batch of images and labels


@dataclass(frozen=True)
class Setting:
    """How passes are measured.

    Attributes
    ----------
    classes : number of logits
    size : side of the images in pixels
    batch : images at a time
    policy : device and precision
    steps : attack steps of the adversarial losses
    warm, repeats : passes before the clock starts, and passes that are timed
    """

    classes: int
    size: int
    batch: int
    policy: models.Policy
    steps: Sequence[int] = (1,)
    warm: int = 2
    repeats: int = 5


def count(model: models.Classifier) -> tuple[int, int]:
    """Trainable parameters, and multiply-adds of the forward pass of one image.

    Multiply-adds are those of matrix products, convolutions and attention, half of the operations that
    `torch.utils.flop_counter` counts; normalisation, activations and sums are not among them.
    """
    image = model.mean.new_zeros(1, 3, *model.size)
    with models.frozen(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    parameters = sum(value.numel() for value in model.network.parameters() if value.requires_grad)
    return parameters, counter.get_total_flops() // 2


def measure(arch: str, setting: Setting) -> list[dict[str, Any]]:
    """Rows of the table `cost` for a network with random weights.

    Parameters
    ----------
    arch : key of `mettle.models.ARCHITECTURES`, or any timm model
    setting : how it is measured

    Raises
    ------
    ValueError
        If the architecture is unknown, or not even one image fits into memory.
    """
    model = models.create(arch, setting.classes, setting.size, [0.5] * 3, [0.5] * 3, seed=0)
    policy = setting.policy.suited(model)
    parameters, multiply_adds = count(model)
    about = {"arch": arch, "classes": setting.classes, "size": setting.size, "device": _device(policy)}
    about |= {"precision": policy.precision, "threads": torch.get_num_threads()}
    about |= {"parameters": parameters, "multiply_adds": multiply_adds}
    rows = [about | {"what": what} | timed(what, run, policy, setting) for what, run in _passes(model, policy, setting)]
    each = [row["seconds"] / row["batch"] for row in rows]
    return [row | {"forwards": seconds / each[0]} for row, seconds in zip(rows, each, strict=True)]


# The passes


def _passes(model: models.Classifier, policy: models.Policy, setting: Setting) -> Iterator[tuple[str, Pass]]:
    """Name and function of every pass, the forward pass first; one at a time, since each may hold an optimiser."""
    yield "forward", _forward(model, policy)
    yield "input_gradient", _gradient(model, policy)
    yield "training", _step(model, policy, setting, "standard", 1)
    for name, loss in (("pgd", "adversarial"), ("trades", "trades")):
        for k in setting.steps:
            yield f"{name}{k}", _step(model, policy, setting, loss, k)


def _forward(model: nn.Module, policy: models.Policy) -> Pass:
    def run(images: Tensor, labels: Tensor) -> None:
        with models.frozen(model), torch.inference_mode(), policy.autocast():
            model(images)

    return run


def _gradient(model: nn.Module, policy: models.Policy) -> Pass:
    def run(images: Tensor, labels: Tensor) -> None:
        with models.frozen(model):
            ascent(model, images, torch.arange(len(images), device=images.device), cross_entropy(labels), policy)

    return run


def _step(model: models.Classifier, policy: models.Policy, setting: Setting, loss: str, steps: int) -> Pass:
    """An update of the weights, too small to change what the next one costs."""
    recipe = _recipe(setting, loss, steps, policy.precision)
    optimizer, _ = optim.make(model, recipe, updates_per_epoch=1)

    def run(images: Tensor, labels: Tensor) -> None:
        draws = Draws(0, range(len(images)), images.device)
        now = Step(0, 0.0, recipe["attack"]["eps"], setting.classes, draws, policy, recipe)
        model.train()
        optimizer.zero_grad(set_to_none=True)
        LOSSES[loss].run(model, images, labels, now)[0].backward()
        optimizer.step()

    return run


def _recipe(setting: Setting, loss: str, steps: int, precision: str) -> dict[str, Any]:
    given = {
        "epochs": 1,
        "batch_size": setting.batch,
        "loss": loss,
        "optimizer": {"name": "adamw", "lr": 1e-8, "weight_decay": 0.5},
        "schedule": {"name": "cosine"},
        "attack": {"norm": "linf", "eps": 4 / 255, "steps": steps, "precision": precision},
        "input": {"size": setting.size, "mean": [0.5] * 3, "std": [0.5] * 3},
    }
    return schema.check(given, "recipe", "profile")


# Time


def timed(what: str, run: Pass, policy: models.Policy, setting: Setting) -> dict[str, Any]:
    """Columns `batch`, `seconds`, `images_per_second` and `memory` of a pass.

    Raises
    ------
    ValueError
        If not even one image fits into memory.
    """
    batch = setting.batch
    while True:
        try:
            seconds, memory = _median(run, batch, policy, setting)
            return {"batch": batch, "seconds": seconds, "images_per_second": batch / seconds, "memory": memory}
        except torch.OutOfMemoryError as error:
            if batch == 1:
                raise ValueError(f"{what}: not even one image of {setting.size} px fits into memory") from error
            batch //= 2
        torch.cuda.empty_cache()


def _median(run: Pass, batch: int, policy: models.Policy, setting: Setting) -> tuple[float, float | None]:
    """Median time of a batch in seconds, and its peak memory in GB, where that is known."""
    images = policy.move(torch.rand(batch, 3, setting.size, setting.size, generator=torch.Generator().manual_seed(0)))
    labels = torch.zeros(batch, dtype=torch.int64, device=policy.device)
    on_gpu = policy.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(policy.device)
    times = []
    for _ in range(setting.warm + setting.repeats):
        began = time.perf_counter()
        run(images, labels)
        if on_gpu:
            torch.cuda.synchronize(policy.device)
        times.append(time.perf_counter() - began)
    seconds = float(torch.tensor(times[setting.warm :], dtype=torch.float64).median())
    return seconds, torch.cuda.max_memory_allocated(policy.device) / 1e9 if on_gpu else None


def _device(policy: models.Policy) -> str:
    return torch.cuda.get_device_name(policy.device) if policy.device.type == "cuda" else policy.device.type


# What people see


def text(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of one network, for a terminal."""
    first = rows[0]
    head = f"{first['arch']}: {first['parameters']:,} parameters, {first['multiply_adds'] / 1e9:.3f} G multiply-adds "
    head += f"an image of {first['size']} px; {first['device']}, {first['precision']}, {first['threads']} threads"
    lines = [head, f"{'':16}{'batch':>8}{'images/s':>12}{'s/batch':>10}{'forwards':>10}{'GB':>8}"]
    for row in rows:
        held = "" if row["memory"] is None else f"{row['memory']:.2f}"
        lines.append(
            f"{row['what']:16}{row['batch']:8}{row['images_per_second']:12.1f}{row['seconds']:10.4f}"
            f"{row['forwards']:10.2f}{held:>8}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Measure the networks of a command line; its exit status."""
    parser = argparse.ArgumentParser(prog="make profile", description=__doc__.split("\n\n")[0])
    parser.add_argument("arch", nargs="+", help="architectures: a key of ARCHITECTURES, or any timm model")
    parser.add_argument("--batch", type=int, default=32, help="images at a time")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--classes", type=int, default=1000, help="number of logits")
    parser.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto", help="auto: a GPU where there is one"
    )
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--steps", type=int, nargs="+", default=[1], help="attack steps")
    parser.add_argument("--warm", type=int, default=2, help="passes before the clock starts")
    parser.add_argument("--repeats", type=int, default=5, help="passes that are timed")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    parser.add_argument("--out", type=Path, help="file to write, .parquet or .csv")
    options = parser.parse_args(arguments)
    try:
        _run(options)
    except ValueError as error:
        return print(error, file=sys.stderr) or 1
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.out and options.out.suffix not in (".parquet", ".csv"):
        raise ValueError(f"--out {options.out}: ends neither in .parquet nor in .csv")
    policy = models.policy(options.threads, options.precision)
    if options.device == "cuda" and policy.device.type != "cuda":
        raise ValueError("--device cuda: torch finds no CUDA device on this machine")
    if options.device == "cpu":
        policy = models.Policy(torch.device("cpu"), options.precision)
    asked = {key: getattr(options, key) for key in ("classes", "size", "batch", "steps", "warm", "repeats")}
    rows = []
    for arch in options.arch:
        rows += (found := measure(arch, Setting(policy=policy, **asked)))
        print(text(found), flush=True)
    if options.out:
        _write(options.out, rows)


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        tables.write(path, tables.COST, rows)
        return
    with atomic(path) as tmp:
        pd.DataFrame(rows, columns=list(tables.COST.columns)).to_csv(tmp, index=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
