"""Layers of any network: which parts it has, and their outputs as one vector per image."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mettle import schema
from mettle.models.classifier import Classifier, frozen
from mettle.models.heads import LINEAR

MEAN, CLASS_TOKEN = "mean", "class_token"
Keep = Callable[[Tensor], Tensor]  # what is kept of a layer's output


def find(model: Classifier, headless: bool = False) -> list[str]:
    """Names of a network's layers in the order in which they run, its head aside.

    A layer is a part with a convolution or linear map inside, such as a block, and the normalisation, activation and
    pooling that follow it up to the next part; it is named after the last of these modules, whose output is the
    layer's. Sequences are taken apart, other modules are not, so that a residual block is one part. What runs more
    than once in a pass, or puts out something else than one tensor with a row per image, is passed over.

    Parameters
    ----------
    model : in evaluation mode
    headless : whether the network has no head, so that its last layer gives its output

    Raises
    ------
    ValueError
        If the network does not run on images of its size, or has no such part.
    """
    heads = set() if headless else set(model.heads)
    runs, usable = _run(model)
    layers: list[list[str]] = []
    for name in sorted(_parts(model.network, runs), key=[*runs].index):
        modules = set(model.network.get_submodule(name).modules())
        if modules & heads:
            break
        if not layers or any(isinstance(module, LINEAR) for module in modules):
            layers.append([])
        layers[-1].append(name)
    found = [[name for name in layer if name in usable] for layer in layers]
    if not any(found):
        raise ValueError(f"{type(model.network).__name__} has no parts before its head: {_REMEDY}")
    return [layer[-1] for layer in found if layer]


_REMEDY = "name its modules under represent.layers"


def check(model: Classifier, names: Sequence[str], where: str) -> None:
    """Raise ValueError unless each of the modules runs once in a pass and puts out a row per image.

    Parameters
    ----------
    model : in evaluation mode
    names : of modules, as `get_submodule` of the network takes them
    where : what brought them, for the message
    """
    runs, usable = _run(model)
    for name in names:
        kind = type(model.network).__name__
        if name not in dict(model.network.named_modules()):
            close = schema.suggest(name, usable)
            parts = [part for part in _parts(model.network, runs) if part in usable]
            meant = close if "did you mean" in close else f"; its parts are {', '.join(parts)}"
            raise ValueError(f"{where}: {kind} has no layer '{name}'{meant}")
        if name not in usable:
            times = f"runs {runs.get(name, 0)} times in a pass" if runs.get(name) != 1 else "puts out no row per image"
            raise ValueError(f"{where}: layer '{name}' of {kind} {times}: name a module around it or inside it")


def _parts(module: nn.Module, runs: dict[str, int], prefix: str = "") -> Iterator[str]:
    """Names of the parts below a module: sequences, and lists that do not run themselves, are taken apart."""
    for name, child in module.named_children():
        here = f"{prefix}{name}"
        if type(child) is nn.Sequential or here not in runs:
            yield from _parts(child, runs, f"{here}.")
        else:
            yield here


@torch.no_grad()
def _run(model: Classifier) -> tuple[dict[str, int], list[str]]:
    """How often each module runs in a pass, in their order, and those that run once and give a row per image."""
    runs: dict[str, int] = {}
    usable: dict[str, bool] = {}
    images = model.mean.new_zeros(2, 3, *model.size)

    def note(name: str) -> Callable:
        def noted(module: nn.Module, args: tuple, output: object) -> None:
            runs[name] = runs.get(name, 0) + 1
            usable[name] = isinstance(output, Tensor) and output.ndim in (2, 3, 4) and len(output) == len(images)

        return noted

    handles = [module.register_forward_hook(note(name)) for name, module in model.network.named_modules() if name]
    try:
        with frozen(model):
            model(images)
    finally:
        _remove(handles)
    return runs, [name for name in runs if runs[name] == 1 and usable[name]]


@contextmanager
def watched(network: nn.Module, names: Sequence[str], keep: Keep) -> Iterator[dict[str, Tensor]]:
    """Inside the block, what is kept of the outputs of layers in the latest pass, by name.

    It is computed while the pass runs, so that the outputs themselves need not stay in memory.

    Parameters
    ----------
    network : with these modules
    names : of modules
    keep : of an output, what is kept
    """
    found: dict[str, Tensor] = {}

    def note(name: str) -> Callable:
        return lambda module, args, output: found.update({name: keep(output)})

    handles = [network.get_submodule(name).register_forward_hook(note(name)) for name in names]
    try:
        yield found
    finally:
        _remove(handles)


def _remove(handles: Sequence[torch.utils.hooks.RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()


def pooling(network: nn.Module, how: str) -> Keep:
    """The function from a layer's output to one vector per image (n, d), float32, summed in float64.

    A vector stays what it is. Of maps (n, d, h, w), or (n, h, w, d) in networks of timm that say so, the mean over
    positions; of tokens (n, t, d) the mean over all of them, class token and registers among them, or the class token.

    Parameters
    ----------
    network : whose layers they are
    how : `mean`; or `class_token`, of tokens of a network of timm that has a class token in every block. Others, and
        maps, have the mean all the same
    """
    last = getattr(network, "output_fmt", "NCHW") == "NHWC"
    first = how == CLASS_TOKEN and getattr(network, "num_prefix_tokens", 0) and network.cls_token is not None
    positions = {3: 1, 4: (1, 2) if last else (2, 3)}

    def pooled(output: Tensor) -> Tensor:
        if output.ndim == 2:
            return output.float()
        if output.ndim == 3 and first:
            return output[:, 0].float()
        return output.mean(positions[output.ndim], dtype=torch.float64).float()

    return pooled
