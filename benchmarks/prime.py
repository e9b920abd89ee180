"""`make bench`: PRIME beside its plain computation, in one run, equal values first.

The plain computation is that of the algorithm as written: every primitive on every image at every step of every chain,
masked afterwards, and the series of a colour map from a tensor with all its sines. Both take the same random numbers.
Rounds of both alternate, the fastest of each counts.
"""

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

import record
import torch
from timing import COLUMNS, race
from torch import Tensor

from mettle import schema
from mettle.augment import PRIMITIVES, prime
from mettle.augment.prime import _links, _shares
from mettle.perturb import Draws
from mettle.typed import Prime, PrimeColor

CASES = {"color": ["color"], "filter": ["filter"], "diffeomorphism": ["diffeomorphism"], "all": [*PRIMITIVES]}
CLOSE = 2e-3  # mean difference of pixels: colour maps of a chain are steep, and amplify each other's rounding


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with record.table("prime", COLUMNS, options, options.threads, ["torch"]) as add:
        for n, size in ((64, 96), (16, 224)):
            for name, primitives in CASES.items():
                ours, peer, value, peer_value = compared(n, size, primitives, options.rounds)
                what = f"PRIME, {name}, {n} images of {size} pixels"
                add(what, f"{ours:.3f}", f"{peer:.3f}", f"{peer / ours:.1f}", value, peer_value)


def compared(n: int, size: int, primitives: list[str], rounds: int) -> tuple[float, float, str, str]:
    """Seconds of ours and of the plain computation, and their mean pixels."""
    shape = {"input": {"size": size, "mean": [0.5] * 3, "std": [0.25] * 3}}
    recipe = schema.check(shape | {"augment": {"prime": {"primitives": primitives}}}, "recipe", "bench")
    given, draws = recipe["augment"]["prime"], Draws(0, range(n))
    images = torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))
    (ours, found), (peer, expected) = race(
        rounds, lambda: prime(images, draws, given), lambda: plain(images, draws, given)
    )
    assert (found - expected).abs().mean() < CLOSE, (n, size, primitives)
    return ours, peer, f"mean {found.mean():.6f}", f"mean {expected.mean():.6f}"


@torch.no_grad()
def plain(images: Tensor, draws: Draws, options: Prime) -> Tensor:
    """The algorithm as written."""
    weights, share = _shares(draws, options["width"])
    mixed = torch.zeros_like(images)
    for chain, links in enumerate(_links(draws, options)):
        now = images
        for step in range(options["depth"]):
            for kind, name in enumerate(options["primitives"]):
                run = plain_color if name == "color" else PRIMITIVES[name].run
                made = run(now, draws, options[name], chain, step)
                now = torch.where((links[:, step] == kind).view(-1, 1, 1, 1), made, now)
        mixed += weights[:, chain].view(-1, 1, 1, 1) * now
    return torch.lerp(images, mixed, share.view(-1, 1, 1, 1))


def plain_color(images: Tensor, draws: Draws, options: PrimeColor, *counters: int) -> Tensor:
    """A colour map from a tensor (n, 3, h, w, terms) of sines."""
    uniform, terms = draws.uniform((3,), "color", *counters), options["bandwidth"]
    largest = 1 + (uniform[:, 0].double() * options["cut"]).long()
    k = (1 + (uniform[:, 1].double() * largest).long())[:, None] + torch.arange(terms)
    b = draws.normal((3, terms), "color.b", *counters) * (uniform[:, 2] * options["variance"]).sqrt()[:, None, None]
    b = b * (k <= largest[:, None])[:, None]
    waves = (math.pi * images[..., None] * k[:, None, None, None]).sin()
    return (images + torch.einsum("nck,nchwk->nchw", b, waves)).clamp(0, 1)


if __name__ == "__main__":
    main()
