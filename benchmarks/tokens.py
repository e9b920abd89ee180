"""`make bench`: training of robustness tokens beside the plain loop, and a sweep of heads beside one head.

The plain loop is the algorithm as its authors run it: PGD through the network without tokens and an update of the
tokens, in fp32, while all weights keep gradients. Both begin with the same tokens, images and random starts. Rounds
alternate, the fastest of each counts. The first row is the limit: how much faster a pass is whose weights are frozen.
Memory is the peak of a process of its own over what it holds before, in MB: of an update, and of one gradient of the
attack.
"""

import io
import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

import numpy as np
import record
import torch
from timing import COLUMNS, race
from torch import Tensor

from mettle import models, schema
from mettle.data import Item, write
from mettle.data.item import png
from mettle.data.loading import shuffled
from mettle.data.store import Store
from mettle.flow import Job
from mettle.models import tokens
from mettle.models.features import Features
from mettle.models.linear import last_blocks
from mettle.perturb import Draws
from mettle.perturb.features import over_channels
from mettle.perturb.pgd import uniform_start
from mettle.perturb.steps import step_size
from mettle.seeds import derive
from mettle.stages.heads.sweep import Heads
from mettle.stages.tokens.shared import share
from mettle.stages.tokens.training import Training

ARCH, SIZE, BATCH = "dinov2_vits14", 224, 8
NORM = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
RATES = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1]  # with four views: 52 heads
CLASSES = 1000
CLOSE = 5e-3  # of a cosine: ours keeps the worst iterate, the plain loop the last one


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=30, help="of the attack")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with (
        tempfile.TemporaryDirectory() as folder,
        record.table("tokens", COLUMNS, options, options.threads, ["torch", "timm"]) as add,
    ):
        base, store = made(Path(folder))
        fast = torch.cpu._is_avx512_bf16_supported()  # elsewhere bf16 is emulated, and ten times slower than fp32
        for precision in ("fp32", "bf16") if fast else ("fp32",):
            rows = updates(base, store, precision, options)
            rows = passes(base, options.rounds) + rows if precision == "fp32" else rows
            for what, ours, peer, value, peer_value in rows:
                add(f"{what}, {precision}", f"{ours:.1f}", f"{peer:.1f}", f"{peer / ours:.1f}", value, peer_value)
        update, gradient = (measured(act, base, store) for act in (one_update, one_gradient))
        what = "memory of an update, MB; beside it that of one gradient of the attack, fp32"
        add(what, f"{update:.0f}", f"{gradient:.0f}", f"{gradient / update:.1f}", "", "")
        for what, many, one, value, peer_value in sweeps(base, store, options.rounds):
            add(what, f"{many:.3f}", f"{one:.3f}", f"{one / many:.2f}", value, peer_value)


def made(folder: Path) -> tuple[Path, Path]:
    """Weights of a network that has learned nothing, and a store of random images."""
    about = NORM | {"arch": ARCH, "classes": 0, "size": SIZE, "resize": None, "interpolation": "bicubic"}
    about |= {"threat": "none", "eps": 0.0, "dataset": "none", "task": "features"}
    base = folder / "weights.safetensors"
    models.save(base, models.create(ARCH, 0, SIZE, NORM["mean"], NORM["std"], 0), about)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE, 3), np.uint8)
    items = [Item(png(image), 0, "none", f"random {number}") for number, image in enumerate(pixels)]
    write(folder / "train.lmdb", folder / "train.parquet", items)
    return base, folder / "train.lmdb"


def recipe(precision: str, steps: int) -> dict:
    """Ten tokens, one update."""
    attack = {"norm": "linf", "eps": 8 / 255, "steps": steps}
    told = {"kind": "tokens", "n": 10, "steps": 1, "batch_size": BATCH, "optimizer": {"lr": 1e-3}, "attack": attack}
    return schema.check(told | {"precision": precision}, "tokens", "bench")


def job() -> Job:
    """A job that says nothing."""
    return Job(rule="tokens", seed=0, threads=1, provenance={}, log=io.StringIO())


class Ours:
    """The same first update of a training, again and again."""

    def __init__(self, base: Path, store: Path, told: dict, shared: Path | None = None) -> None:
        row = {"model": "bench", "base": "base", "recipe": "bench", "threat": "linf", "eps": 8 / 255, "seed": 0}
        self.run = Training(row, told, Store(store), base, job(), shared=shared)
        self.images, _, self.ids = self.run.images.__getitems__(shuffled(BATCH, BATCH, 0, 0)[0])
        self.first = self.run.tokens.detach().clone()

    def update(self) -> tuple[float, float]:
        """Similarities of clean and of attacked images to clean features, before the update."""
        with torch.no_grad():
            self.run.tokens.copy_(self.first)
        self.run.step = 0
        self.run._update(self.run.policy.move(self.images), self.ids, BATCH)
        return self.run.rows[-1]["invariance"], self.run.rows[-1]["adversarial"]


def updates(base: Path, store: Path, precision: str, options: object) -> list[tuple[str, float, float, str, str]]:
    """Seconds of an update of ours and of the plain loop, and of ours on shared images; similarities before it."""
    told = recipe(precision, options.steps)
    ours = Ours(base, store, told)
    plain = Plain(base, ours.first, told["attack"])
    (seconds, found), (peer, expected) = race(options.rounds, ours.update, lambda: plain.update(ours.images, ours.ids))
    close = CLOSE if precision == "fp32" else 10 * CLOSE
    assert all(abs(a - b) < close for a, b in zip(found, expected, strict=True)), (found, expected)
    target = base.parent / f"{precision}.npy"
    common = {"seed": 0} | {key: told[key] for key in ("steps", "batch_size", "precision", "attack")}
    share(common, store, base, target, target.with_suffix(".parquet"), base.parent / "resume", job())
    quick = Ours(base, store, told, target)
    again, same = race(max(options.rounds, 2), quick.update, lambda: None)[0]
    assert all(abs(a - b) < 1e-6 for a, b in zip(same, found, strict=True)), (same, found)
    texts = [f"cosines {clean:.4f}, {attacked:.4f}" for clean, attacked in (found, expected, same)]
    what = f"an update of tokens, ViT-S/14, {BATCH} images of {SIZE} pixels, PGD-{options.steps}"
    shared = "the same with shared attacked images"
    return [(what, seconds, peer, *texts[:2]), (shared, again, peer, texts[2], texts[1])]


def passes(base: Path, rounds: int) -> list[tuple[str, float, float, str, str]]:
    """Seconds of the gradient by the image, with frozen weights and with weights that keep gradients."""
    fixed, free = (Features(models.load(base)[0].eval().requires_grad_(on)) for on in (False, True))
    images = torch.rand(BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))

    def gradient(features: Features) -> Tensor:
        moved = images.clone().requires_grad_(True)
        features(moved).square().mean().backward()
        return moved.grad

    (ours, found), (peer, expected) = race(max(rounds, 3), lambda: gradient(fixed), lambda: gradient(free))
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    norms = (f"norm {float(one.norm()):.3e}" for one in (found, expected))
    return [("a gradient by the image, weights frozen; beside it with theirs", ours, peer, *norms)]


def one_update(base: Path, store: Path) -> Callable[[], object]:
    """An update whose attack has one step."""
    return Ours(base, store, recipe("fp32", 1)).update


def one_gradient(base: Path, store: Path) -> Callable[[], object]:
    """A gradient of the attack of the same training."""
    ours = Ours(base, store, recipe("fp32", 1))
    with torch.no_grad(), tokens.without(ours.run.model.model.network):
        clean = ours.run.model(ours.images)

    def act() -> object:
        moved = ours.images.clone().requires_grad_(True)
        with tokens.without(ours.run.model.model.network):
            return over_channels(ours.run.model(moved), clean).sum().backward()

    return act


def measured(act: Callable, base: Path, store: Path) -> float:
    """Peak memory of an act over what its process holds before, in MB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (act, base, store))


def _peak(act: Callable, base: Path, store: Path) -> float:
    torch.set_num_threads(1)
    run = act(base, store)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _held("VmRSS")
    run()
    return (_held("VmHWM") - before) / 1024


def _held(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


class Plain:
    """The update as its authors' loop makes it; all weights keep gradients."""

    def __init__(self, base: Path, first: Tensor, attack: dict) -> None:
        self.model = models.load(base)[0].eval().requires_grad_(True)
        self.first, self.attack = first, attack
        self.tokens = tokens.attach(self.model.network, first.clone(), "end")

    def features(self, images: Tensor) -> Tensor:
        """Class token and patch tokens (n, tokens, d)."""
        found = self.model.network.forward_features((images - self.model.mean) / self.model.std)
        return torch.cat([found[:, :1], found[:, self.model.network.num_prefix_tokens :]], 1)

    def update(self, images: Tensor, ids: Tensor) -> tuple[float, float]:
        """Similarities of clean and of attacked images to clean features, before an update."""
        with torch.no_grad():
            self.tokens.copy_(self.first)
        optimizer = torch.optim.Adam([self.tokens], lr=1e-3)
        eps, network = self.attack["eps"], self.model.network
        with tokens.without(network), torch.no_grad():
            clean = self.features(images)
        attacked = uniform_start(images, "linf", eps, Draws(derive(0, "attack", 0), ids, images.device))
        length = step_size(self.attack, "feature_attack:step_size")
        with tokens.without(network):
            for _ in range(self.attack["steps"]):
                attacked = attacked.detach().requires_grad_(True)
                over_channels(self.features(attacked), clean).sum().backward()
                moved = attacked.detach() - length * attacked.grad.sign()
                attacked = images + (moved - images).clamp(-eps, eps)
                attacked = attacked.clamp(0, 1)
        optimizer.zero_grad()
        invariance = over_channels(self.features(images), clean).mean()
        adversarial = over_channels(self.features(attacked.detach()), clean).mean()
        (-invariance - adversarial).backward()
        optimizer.step()
        with tokens.without(network), torch.no_grad():
            self.features(attacked)  # logged by theirs, too
        return invariance.item(), adversarial.item()


def sweeps(base: Path, store: Path, rounds: int) -> list[tuple[str, float, float, str, str]]:
    """Seconds of an update of 52 heads and of one, with the network's pass and without, and the loss of the one."""
    model = models.load(base)[0].eval().requires_grad_(False)
    images = torch.rand(64, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(64) * 7 % CLASSES
    several = Heads([1, 4], [False, True], RATES, model.network.embed_dim, CLASSES, 0)
    alone = Heads([1], [False], RATES[-1:], model.network.embed_dim, CLASSES, 0)
    with torch.no_grad():
        alone.weights[0].copy_(several.weights[0][-1:])
        features = last_blocks(model, images, 4)

    def update(heads: Heads, given: tuple[Tensor, Tensor] | None) -> float:
        with torch.no_grad():
            seen = given or last_blocks(model, images, 4)
        losses = heads.losses(*seen, labels)
        heads.zero_grad()
        heads.loss(losses).backward()
        return losses[0 if len(losses) == 1 else len(RATES) - 1].item()

    found = []
    for what, given in (("on stored features", features), ("with the network's pass", None)):
        (many, value), (one, expected) = race(
            max(rounds, 2), lambda given=given: update(several, given), lambda given=given: update(alone, given)
        )
        assert abs(value - expected) < 1e-4, (value, expected)
        found.append(
            (f"52 heads beside one, 64 images, {what}", many, one, f"loss {value:.4f}", f"loss {expected:.4f}")
        )
    return found


if __name__ == "__main__":
    main()
