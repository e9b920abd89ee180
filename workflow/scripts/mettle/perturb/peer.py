"""The second engine: attacks of the package pyautoattack, for comparison with ours."""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mettle.models import Policy, exact, frozen
from mettle.perturb.autoattack import STAGES
from mettle.perturb.draws import Draws
from mettle.perturb.goal import Goal
from mettle.perturb.norms import confine
from mettle.perturb.watch import NOBODY, Watch
from mettle.seeds import derive

_NORMS = {"l1": "L1", "l2": "L2", "linf": "Linf"}
_NAMES = {"apgd_ce": "apgd-ce", "apgd_t": "apgd-t", "fab_t": "fab-t", "square": "square"}
_APGD = {"ce": "apgd-ce", "dlr": "apgd-dlr", "dlr_targeted": "apgd-t"}


def pyautoattack(
    method: str,
    model: nn.Module,
    images: Tensor,
    goal: Goal,
    *,
    norm: str,
    eps: float,
    draws: Draws,
    policy: Policy,
    attacks: Sequence[str] = tuple(STAGES),
    loss: str = "ce",
    steps: int = 100,
    restarts: int = 1,
    targets: int = 9,
    queries: int = 5000,
    p_init: float = 0.8,
    early_stop: bool = True,
    watch: Watch = NOBODY,
) -> tuple[Tensor, Tensor]:
    """Results of pyautoattack, in fp32; the options are those of our attack of that name.

    Parameters
    ----------
    method : `apgd`, `fab`, `square` or `autoattack`
    watch : is told the accuracy after each member, and the warnings of the package

    Returns
    -------
    images : (n, 3, h, w) inside ball and pixel range; where nothing fools, the image itself
    queries : (n,) zeros: the package does not count

    Notes
    -----
    Its random numbers come from one stream, so its results depend on the batch, unlike ours. Its FAB-T has a single
    restart, and it always stops early.
    """
    from pyautoattack import AutoAttack
    from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted

    chosen = {"autoattack": [_NAMES[name] for name in attacks], "apgd": [_APGD[loss]], "fab": ["fab-t"]}
    model = exact(model)
    shared = {"norm": _NORMS[norm], "eps": eps, "device": policy.device}
    shared["seed"] = derive(draws.seed, "pyautoattack", *draws.ids[:1].tolist())
    with frozen(model), torch.random.fork_rng():
        engine = AutoAttack(model, version="custom", attacks=chosen.get(method, ["square"]), **shared)
        engine.logger = logging.Logger("pyautoattack")
        engine.logger.addHandler(_Heard(watch.say))
        targets = min(targets, model(images[:1]).shape[1] - 1)
        options = shared | {"n_iter": steps, "n_restarts": restarts, "logger": engine.logger}
        options |= {"use_largereps": norm == "l1"}
        members = (STAGES[name].options(norm, {"steps": steps, "targets": targets}) for name in ("apgd_ce", "apgd_t"))
        away, towards = members if method == "autoattack" else ({}, {})
        engine.apgd = APGDAttack(model, **options | {"n_restarts": away.get("restarts", restarts)})
        engine.apgd_targeted = APGDAttack_targeted(model, n_target_classes=towards.get("targets", targets), **options)
        engine.fab.n_iter, engine.fab.n_target_classes = steps, targets
        engine.square.n_queries, engine.square.p_init = queries, p_init
        found, _ = engine.run_standard_evaluation(images.contiguous(), goal.labels, batch_size=len(images))
    return confine(found, images, norm, eps), torch.zeros_like(goal.labels)


class _Heard(logging.Handler):
    """Lines of the package's log that are passed on: warnings, and the accuracy after each member."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING or text.startswith("robust accuracy after"):
            self.say(text)
