"""Fine-tuning: a new classifier starts from weights of another data set, input size or stride of the stem."""

import math
import sys
from pathlib import Path

from torch import Tensor, nn

from mettle.models import weights
from mettle.models.classifier import Classifier

Report = dict[str, list[str]]


def finetune(model: Classifier, path: str | Path, dataset: str) -> Report:
    """
    Load what fits from a file; the model keeps its own mean and standard deviation of the input.

    A head is loaded for the same data set only: the classes of another one differ, even if their number does not.

    Parameters
    ----------
    model : fresh classifier, changed in place
    path : file that `save` wrote, with `dataset` in its metadata
    dataset : name of the data set that the model is for

    Returns
    -------
    dict
        Names of the network's entries: `loaded` as they are; `interpolated` to the model's size; `replaced`, of a head
        for another data set, which stay fresh; `missing`, which the file does not have in this shape and
        which stay fresh; `unexpected`, which only the file has.

    Raises
    ------
    ValueError
        If less than half of the network's values, heads aside, come from the file.
    """
    state, about = weights.read(path)
    old = {key.removeprefix("network."): value for key, value in state.items() if key.startswith("network.")}
    own = model.network.state_dict()
    heads = _heads(model)
    found = resized(model.network, old, [key for key in own if key not in heads])
    fresh = heads if about.get("dataset") != dataset else set()
    fits = {key: value for key, value in found.items() if key in own and value.shape == own[key].shape}
    fits = {key: value for key, value in fits.items() if key not in fresh}
    wanted = sum(own[key].numel() for key in own if key not in heads)
    given = sum(value.numel() for key, value in fits.items() if key not in heads)
    if given < wanted / 2:
        raise ValueError(
            f"{path} ({about['arch']}) does not fit {type(model.network).__name__}: "
            f"it has {given} of the {wanted} values before the head: {_difference(own, heads, found)}"
        )
    model.network.load_state_dict(fits, strict=False)
    same = {key for key in fits if key in old and old[key].shape == fits[key].shape}
    return {
        "loaded": [key for key in fits if key in same],
        "interpolated": [key for key in fits if key not in same],
        "replaced": [key for key in own if key in heads and key not in fits],
        "missing": [key for key in own if key not in heads and key not in fits],
        "unexpected": [key for key in found if key not in heads and key not in fits],
    }


def _difference(own: dict[str, Tensor], heads: set[str], found: dict[str, Tensor]) -> str:
    """Entries of a network that a file lacks, and those that it has in their place."""
    missing = [key for key in own if key not in heads and key not in found]
    shapes = [key for key in own if key not in heads and key in found and found[key].shape != own[key].shape]
    parts = [f"missing {key}{weights.like(key, own, found)}" for key in missing]
    parts += [f"{key} has shape {tuple(found[key].shape)}, expected {tuple(own[key].shape)}" for key in shapes]
    return weights.shortened(parts, 3)


def _heads(model: Classifier) -> set[str]:
    """Names of the entries of all classifiers."""
    heads = model.classifiers
    names = [name for name, module in model.network.named_modules() if any(module is head for head in heads)]
    return {f"{name}.{key}" for name in names for key in model.network.get_submodule(name).state_dict()}


def resized(network: nn.Module, old: dict[str, Tensor], keys: list[str]) -> dict[str, Tensor]:
    """The old state with everything that depends on the input size interpolated: timm's rule, and position embeddings.

    Only between networks with the same entries: timm would take others for files of other projects.

    Parameters
    ----------
    network : the network that the state is for
    old : state of one of another input size
    keys : entries that both have to have
    """
    own = network.state_dict()
    if not all(key in old for key in keys) or all(old[key].shape == own[key].shape for key in keys):
        return old
    adapt = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    found = dict(old) if adapt is None else adapt(dict(old), network)
    if "pos_embed" in keys and found["pos_embed"].shape != own["pos_embed"].shape:
        found["pos_embed"] = _position(found["pos_embed"], own["pos_embed"], network)
    return found


def _position(old: Tensor, own: Tensor, network: nn.Module) -> Tensor:
    """Position embeddings (1, tokens, d) on the network's grid, bicubic; those of extra tokens as they are."""
    from timm.layers import resample_abs_pos_embed

    grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    if grid is None or old.ndim != 3 or old.shape[2] != own.shape[2]:
        return old
    extra = own.shape[1] - math.prod(grid)
    side = math.isqrt(max(old.shape[1] - extra, 0))
    if side**2 != old.shape[1] - extra:
        return old
    return resample_abs_pos_embed(old, list(grid), [side, side], num_prefix_tokens=extra)
