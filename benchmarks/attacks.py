"""`make bench`: attacks and adversarial training steps beside those of other projects, in one run, equal values first.

Rounds of ours and the peer alternate and the fastest of each counts. A peer runs in fp32; ours in fp32 and, where it is
an option, with bf16 passes and success decided in fp32.
"""

import argparse
import copy
import resource
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

import foolbox
import networks
import peers
import record
import torch
from timing import COLUMNS, Row, race
from torch import Tensor, nn

from mettle import models, schema
from mettle.models import Policy
from mettle.perturb import ATTACKS, Draws, pgd_last
from mettle.perturb.goal import untargeted
from mettle.perturb.peer import pyautoattack
from mettle.stages.train.losses import LOSSES, Step

MEMORY = ["attack", "peak memory beyond one forward and backward, in batches of images: short run", "ten times longer"]
EPS = 0.1  # of the digits' attacks: a robust model keeps about half of its accuracy


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, default=200, help="images of AutoAttack")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=[*BENCHES, "memory"], help="one group of rows")
    parser.add_argument("--times", type=int, default=1, help="length of that attack")
    parser.add_argument("--memory", default="", help="peak memory of one attack, used by the bench itself")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory:
        print(peak(options.memory, options.times))
        return
    if options.only != "memory":
        speed([options.only] if options.only else list(BENCHES), options)
    if options.only in (None, "memory"):
        memory(options)


def speed(benches: list[str], options: argparse.Namespace) -> None:
    """Table of seconds beside those of peers."""
    packages = ["torch", "foolbox", "pyautoattack"]
    with record.table("attacks", COLUMNS, options, options.threads, packages) as add:
        for row in (row for bench in benches for row in BENCHES[bench](options)):
            seconds = f"{row.ours:.2f}", f"{row.peer:.2f}", f"{row.peer / row.ours:.1f}"
            add(row.what, *seconds, row.value, row.peer_value)


def memory(options: argparse.Namespace) -> None:
    """Table of peak memory, of few and of many steps, each in a process of its own."""
    with record.table("attack_memory", MEMORY, options, packages=["torch"]) as add:
        for attack in LENGTHS:
            commands = [[sys.executable, __file__, "--memory", attack, "--times", times] for times in ("1", "10")]
            runs = [subprocess.run(command, capture_output=True, text=True, check=True) for command in commands]
            add(attack, *(run.stdout.strip() for run in runs))


def pgd10(options: argparse.Namespace) -> list[Row]:
    """Foolbox's PGD and ours: same step, no random start, last iterate."""
    ball = {"norm": "linf", "eps": 8 / 255, "steps": 10, "step_size": 2 / 255}
    rows = []
    for batch in (32, 128):
        x, y = networks.images("test", batch)
        model = networks.resnet18()
        fmodel = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        attack = foolbox.attacks.LinfPGD(abs_stepsize=2 / 255, steps=10, random_start=False)
        fast = models.policy(options.threads).place(copy.deepcopy(model))
        fast = models.folded(fast, x[:2])
        runs = [lambda: attack(fmodel, x, y, epsilons=8 / 255)[1]]  # noqa: B023 (called within the loop)
        for precision in ("fp32", "bf16"):
            policy = Policy(torch.device("cpu"), precision)
            runs.append(lambda policy=policy: pgd_last(fast, policy.move(x), untargeted(y), policy=policy, **ball))  # noqa: B023
        (peer, theirs), *ours = race(options.rounds, *runs)
        known = loss(model, theirs, y)
        for precision, (seconds, found) in zip(("fp32", "bf16"), ours, strict=True):
            value = loss(model, found, y)
            assert abs(value - known) < (1e-3 if precision == "fp32" else 3e-2) * known, (value, known)
            what = f"PGD-10, ResNet-18, batch {batch}, {precision}; peer foolbox"
            rows.append(Row(what, seconds, peer, f"loss {value:.4f}", f"loss {known:.4f}"))
    return rows


def training_steps(options: argparse.Namespace) -> list[Row]:
    """One optimiser step by the papers' plain loops and ours, from the same start."""
    x, y = networks.images("train", 32)
    rows = []
    for name, title, loop, steps in (
        ("adversarial", "PGD", peers.pgd_step, 7),
        ("trades", "TRADES", peers.trades_step, 10),
    ):
        attack = {"norm": "linf", "eps": 8 / 255, "steps": steps, "step_size": 2 / 255}
        attack |= {"best": False, "random_start": False}
        noise = 0.001 * Draws(0, range(32)).normal(x.shape[1:], "start")
        runs = [lambda: loop(networks.resnet18(), x, y, 8 / 255, 2 / 255, steps, noise)]  # noqa: B023
        for precision in ("fp32", "bf16"):
            runs.append(lambda p=precision: our_step(name, attack | {"precision": p}, p, x, y))  # noqa: B023
        (peer, known), *ours = race(options.rounds, *runs)
        for precision, (seconds, value) in zip(("fp32", "bf16"), ours, strict=True):
            assert abs(value - known) < (1e-3 if precision == "fp32" else 3e-2) * known, (value, known)
            what = f"{title}-{steps} training step, ResNet-18, batch 32, {precision}; peer plain loop"
            rows.append(Row(what, seconds, peer, f"loss {value:.4f}", f"loss {known:.4f}"))
    return rows


def our_step(name: str, attack: dict, precision: str, x: Tensor, y: Tensor) -> float:
    """Loss of one optimiser step of ours on a fresh network."""
    policy = Policy(torch.device("cpu"), precision)
    plain = {"epochs": 1, "batch_size": 32, "optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0}}
    plain |= {"schedule": {"name": "step"}, "input": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3}}
    recipe = schema.check(plain | {"loss": name, "attack": attack}, "recipe", "bench")
    model = policy.place(networks.resnet18()).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    step = Step(0, 0.0, attack["eps"], 10, Draws(0, range(len(x))), policy, recipe)
    value, _, _ = LOSSES[name].run(model, policy.move(x), y, step)
    value.backward()
    optimizer.step()
    return value.item()


def apgd(options: argparse.Namespace) -> list[Row]:
    """Robust accuracy by APGD-CE with 100 steps, 128 images."""
    x, y = networks.images("test", 128)
    rows = []
    for kind, robust in (("standard", False), ("robust", True)):
        what = f"APGD-CE-100, {kind} network, 128 images"
        rows += versus("apgd", what, networks.small(robust, EPS), x, y, options)
    return rows


def autoattack(options: argparse.Namespace) -> list[Row]:
    """The standard composition."""
    x, y = networks.images("test", options.images)
    what = f"AutoAttack, robust network, {options.images} images"
    options = argparse.Namespace(**vars(options) | {"rounds": 1})
    return versus("autoattack", what, networks.small(True, EPS), x, y, options)


def versus(method: str, what: str, model: nn.Module, x: Tensor, y: Tensor, options: argparse.Namespace) -> list[Row]:
    """One of our attacks beside that of pyautoattack; the masks may differ on 1 % of the images."""
    policy = models.policy(options.threads)
    fast = models.folded(model, x[:2])
    ball = {"norm": "linf", "eps": EPS, "draws": Draws(0, range(len(x)))}
    runs = [lambda: pyautoattack(method, model, x, untargeted(y), policy=policy, **ball)[0]]
    for precision in ("fp32", "bf16"):
        passes = Policy(policy.device, precision)
        runs.append(
            lambda passes=passes: ATTACKS[method].run(fast, passes.move(x), untargeted(y), policy=passes, **ball)[0]
        )
    (peer, theirs), *ours = race(options.rounds, *runs)
    known, rows = right(model, theirs, y), []
    for precision, (seconds, found) in zip(("fp32", "bf16"), ours, strict=True):
        mask = right(model, found, y)
        differ = int((mask != known).sum())
        assert differ <= max(1, len(x) // 100), f"{what}, {precision}: {differ} of {len(x)} images differ"
        shares = [f"{float(part.float().mean()):.4f}" for part in (mask, known)]
        title = f"{what}, {precision}; peer pyautoattack"
        rows.append(Row(title, seconds, peer, f"{shares[0]} ({differ} differ)", shares[1]))
    return rows


@torch.no_grad()
def right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Which images the model classifies correctly."""
    return model(x).argmax(1) == y


@torch.no_grad()
def loss(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Mean cross-entropy."""
    return float(nn.functional.cross_entropy(model(x), y))


def peak(method: str, times: int) -> str:
    """Growth of this process beyond the peak of one forward and backward, in multiples of the batch of images."""
    x, y = networks.images("test", 256)
    policy = models.policy(1)
    model = policy.place(models.create("wrn10_1", 10, 32, [0.5] * 3, [0.25] * 3, 0).eval())
    x = policy.move(x)
    with models.frozen(model):
        for _ in range(3):
            inputs = x.clone().requires_grad_(True)
            torch.autograd.grad(nn.functional.cross_entropy(model(inputs), y), inputs)
    with torch.no_grad():
        y = model(x).argmax(1)  # so that every image is attacked to the end
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ball = {"norm": "linf", "eps": 1e-5, "draws": Draws(0, range(len(x))), "policy": policy}
    ball |= {"step_size": 1e-6} if method == "pgd" else {}
    options = {key: value * times if key != "targets" else value for key, value in LENGTHS[method].items()}
    ATTACKS[method].run(model, x, untargeted(y), **ball, **options)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{(after - before) * 1024 / (x.numel() * 4):.0f}"


LENGTHS = {"pgd": {"steps": 5}, "apgd": {"steps": 5}, "fab": {"steps": 3, "targets": 2}, "square": {"queries": 20}}
BENCHES = {"pgd": pgd10, "training": training_steps, "apgd": apgd, "autoattack": autoattack}

if __name__ == "__main__":
    main()
