"""Logits and penultimate features beside the plain loop over timm's networks: close values first, then seconds a batch.

Random weights. The peer runs in fp32; ours as the stage represent runs it, in fp32 and with bf16 passes.
"""

import argparse
import copy
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

import record
import timm
import torch
from timing import race
from torch import Tensor, nn

from mettle import models
from mettle.models import Policy

COLUMNS = ["what", "ours, s", "peer, s", "ratio", "our value", "peer's value"]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# timm's name and options; a residual branch that starts at zero would compute nothing.
NETWORKS = {"ResNet-50": ("resnet50", {"zero_init_last": False}), "ViT-S/16": ("vit_small_patch16_224", {})}
# Largest ||ours - peer|| / ||peer|| of the features of all images.
ALLOWED = {"fp32": 1e-4, "bf16": 3e-2}


def main() -> None:
    parser = record.arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with record.table("extraction", COLUMNS, options, options.threads, ["torch", "timm"]) as add:
        for row in rows(options):
            add(*row)


def rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """A row per network and precision."""
    x = torch.rand(options.batch, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    for title, (arch, settings) in NETWORKS.items():
        torch.manual_seed(0)
        network = timm.create_model(arch, **settings).eval()
        runs = [lambda: plain(network, x)]  # noqa: B023 (called within the loop)
        for precision in ALLOWED:
            policy = Policy(torch.device("cpu"), precision)
            model = policy.place(models.Classifier(copy.deepcopy(network), MEAN, STD, 224).eval())
            runs.append(lambda model=model, policy=policy: ours(model, policy, x))
        (peer, (_, known)), *found = race(options.rounds, *runs)
        for precision, (seconds, (_, features)) in zip(ALLOWED, found, strict=True):
            error = float((features - known).norm() / known.norm())
            assert features.shape == known.shape and error <= ALLOWED[precision], (title, precision, error)
            what = f"{title}, 224 px, batch {options.batch}, {precision}; peer plain timm loop"
            values = f"norm {features.norm():.4g} (off by {error:.1e})", f"norm {known.norm():.4g}"
            yield what, f"{seconds:.2f}", f"{peer:.2f}", f"{peer / seconds:.1f}", *values


@torch.no_grad()
def plain(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and penultimate features as timm's documentation has them taken."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    features = network.forward_head(network.forward_features((x - mean) / std), pre_logits=True)
    return network.get_classifier()(features), features


def ours(model: models.Classifier, policy: Policy, x: Tensor) -> tuple[Tensor, Tensor]:
    """The same by the stage represent's pass."""
    with torch.inference_mode(), policy.autocast():
        logits, features = model.both(policy.move(x))
    return logits.float(), features.float()


if __name__ == "__main__":
    main()
