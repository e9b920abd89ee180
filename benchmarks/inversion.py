"""`make bench`: inversion beside a bare loop of forward and input gradient, same model, precision and memory layout.

The bare loop has the gradient of the mean logit, and keeps nothing. Losses are compared first, with a plain form of
inversion. Rounds alternate and the fastest of each counts.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

import record
import torch
from timing import race
from torch import Tensor

from mettle import models
from mettle.models import Classifier, Policy
from mettle.stages.invert.descent import invert

COLUMNS = ["what", "ours, image-steps/s", "bare loop", "ratio", "our mean loss", "plain form's"]
# Architecture, side in pixels, images per batch, steps of a round, rounds: short ones, that one may go undisturbed.
CASES = [("wrn10_1", 32, 64, 20, 20), ("preact_resnet_18", 32, 64, 2, 6), ("resnet50", 224, 8, 2, 6)]
OPTIONS = {"step_size": 0.125, "momentum": 0.9}


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=[arch for arch, *_ in CASES])
    options = parser.parse_args()
    models.policy(options.threads)
    with record.table("inversion", COLUMNS, options, options.threads, ["torch", "timm"]) as add:
        for case in CASES:
            if options.only in (None, case[0]):
                for precision in ("fp32", "bf16"):
                    add(*row(*case, precision))


def row(arch: str, size: int, batch: int, steps: int, rounds: int, precision: str) -> tuple[str, ...]:
    """One line of the table.

    An inversion has two passes without gradient besides its steps, of the targets and of the last image. Of 1,000 steps
    they are nothing, of the few that are timed here they are much: the bare loop has them, too.
    """
    policy = Policy(models.policy(torch.get_num_threads()).device, precision)
    model = policy.place(models.create(arch, 10, size, [0.5] * 3, [0.25] * 3, 0).eval().requires_grad_(False))
    generator = torch.Generator().manual_seed(0)
    seeds, targets = (policy.move(torch.rand(batch, 3, size, size, generator=generator)) for _ in range(2))
    found = invert(model, seeds, targets, steps=3, policy=policy, **OPTIONS)
    ours, known = float(found.loss.mean()), float(plain(model, seeds, targets, 3, policy).mean())
    assert abs(ours - known) < 1e-4 * known, f"{arch}, {precision}: loss {ours}, plain form {known}"

    def inversion() -> None:
        invert(model, seeds, targets, steps=steps, policy=policy, **OPTIONS)

    def bare() -> None:
        for _ in range(steps):
            gradient(model, seeds, policy)
        with torch.no_grad(), policy.autocast():
            model(targets), model(seeds)

    (mine, _), (loop, _) = race(rounds, inversion, bare)
    speeds = f"{batch * steps / mine:.1f}", f"{batch * steps / loop:.1f}", f"{loop / mine:.2f}"
    return f"{arch}, {size} px, batch {batch}, {precision}", *speeds, f"{ours:.5f}", f"{known:.5f}"


def gradient(model: Classifier, images: Tensor, policy: Policy) -> Tensor:
    """Gradient of the mean logit with respect to the images."""
    images = images.detach().requires_grad_(True)
    with policy.autocast():
        value = model(images).float().mean()
    return torch.autograd.grad(value, images)[0]


def plain(model: Classifier, seeds: Tensor, targets: Tensor, steps: int, policy: Policy) -> Tensor:
    """Lowest loss of each image by inversion as it is written down, every loss kept."""

    def loss(x: Tensor) -> Tensor:
        with policy.autocast():
            features = model.both(x)[1]
        return (features.float() - wanted).pow(2).sum(1).sqrt() / wanted.pow(2).sum(1).sqrt()

    with torch.no_grad(), policy.autocast():
        wanted = model.both(targets)[1].float()
    x, m, losses = seeds, torch.zeros_like(seeds), []
    for _ in range(steps):
        x = x.detach().requires_grad_(True)
        losses.append(loss(x))
        g = torch.autograd.grad(losses[-1].sum(), x)[0]
        m = OPTIONS["momentum"] * m + (1 - OPTIONS["momentum"]) * g / g.pow(2).sum((1, 2, 3), keepdim=True).sqrt()
        x = (x - OPTIONS["step_size"] * m).clamp(0, 1)
    return torch.stack([*losses, loss(x)]).detach().amin(0)


if __name__ == "__main__":
    main()
