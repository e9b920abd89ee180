"""Weights on disk: safetensors, with metadata from which the network is rebuilt."""

import difflib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mettle.digests import sha256_of
from mettle.files import atomic
from mettle.models import adapters, linear, tokens
from mettle.models.classifier import Classifier, create

# Metadata that a file must have. `input_range` is always [0, 1]: normalisation is inside the model.
REQUIRED = ("arch", "classes", "size", "resize", "interpolation", "mean", "std", "input_range", "threat", "eps")
PLAIN = ("classification", "features")  # tasks of networks without adapter; those of features have no head
TOKENS = "tokens"  # kind of files that hold robustness tokens alone, and name of their entry
HEAD = "head"  # kind of files that hold a head alone
_ON_BASE = {TOKENS: "tokens are", HEAD: "head is"}  # kinds of files that need the weights of their base beside them
_OF_NETWORK = ("network.", "backbone.network.")  # with which the entries begin that a head has not
# Metadata without effect on results: an existing file with other values of them is kept.
SAID = ("provenance", "mirror", "licence", "reference", "expected")


def save(path: str | Path, model: Classifier | dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write a model's state, atomically.

    An existing file that differs in nothing but `SAID` is kept, with a new modification time.

    Parameters
    ----------
    path : file to write
    model : the classifier, or its state
    about : arch, classes, size, resize, interpolation, mean, std, threat, eps, and other provenance; plain data.
        `code`: SHA-256 by path of the files of the user's that the network is built from
    """
    about = about | {"input_range": [0, 1]}
    if missing := [key for key in REQUIRED if key not in about]:
        raise ValueError(f"{path}: metadata lacks {missing}")
    state = {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, value in (model if isinstance(model, dict) else model.state_dict()).items()
    }
    with atomic(path, _alike) as tmp:
        save_file(state, tmp, metadata={"mettle": json.dumps(about, sort_keys=True)})


def _alike(one: Path, other: Path) -> bool:
    """Whether two files have the same weights and metadata, apart from `SAID`."""
    try:
        (state, about), (others, abouts) = read(one), read(other)
    except ValueError:
        return False
    said = [{key: value for key, value in found.items() if key not in SAID} for found in (about, abouts)]
    equal = state.keys() == others.keys() and all(torch.equal(state[key], others[key]) for key in state)
    return equal and said[0] == said[1]


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State and metadata of a file.

    Raises
    ------
    ValueError
        If the file is not a complete safetensors file, or its metadata is incomplete or states another input range.
    """
    with _opened(path) as file:
        about = _about(file, path)
        return {key: file.get_tensor(key) for key in file.keys()}, about  # noqa: SIM118 (no mapping)


def read_head(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State, without normalisation, and metadata of a file of a head.

    Raises
    ------
    ValueError
        If it holds something else, and as `read` does.
    """
    state, about = read(path)
    if about.get("kind") != HEAD:
        raise ValueError(f"{path}: holds no head, but {about.get('kind', 'a whole model')}")
    return {key: value for key, value in state.items() if key not in ("mean", "std")}, about


def described(path: str | Path) -> dict[str, Any]:
    """Metadata of a file, checked as `read` does, without its tensors."""
    with _opened(path) as file:
        return _about(file, path)


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error


def _about(file: Any, path: str | Path) -> dict[str, Any]:
    try:
        about = json.loads((file.metadata() or {}).get("mettle", "{}"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error
    if missing := [key for key in REQUIRED if key not in about]:
        raise ValueError(f"{path}: metadata lacks {missing}; weights from elsewhere go through the rule `convert`")
    if about["input_range"] != [0, 1]:
        raise ValueError(f"{path}: made for input range {about['input_range']}, models here take images in [0, 1]")
    return about


def load(path: str | Path, *, any_size: bool = False, **expected: Any) -> tuple[Any, dict[str, Any]]:
    """A model in evaluation mode, and its metadata: a `Classifier`, or what the adapter of its task makes.

    Parameters
    ----------
    path : file that `save` wrote
    any_size : whether the network of a classifier is to take images of any size, if it can
    expected : metadata that the caller relies on, for example `arch="resnet8", classes=10`

    Raises
    ------
    ValueError
        With the list of everything that does not fit: metadata, missing and extra keys, shapes; or if a file of the
        user's that the network is built from is not there or has changed, or the packages of its task are missing.
    """
    state, about = read(path)
    if wrong := [
        f"{key} {about.get(key)!r} instead of {value!r}" for key, value in expected.items() if about.get(key) != value
    ]:
        raise ValueError(f"{path} holds another model: {', '.join(wrong)}")
    if about.get("kind") in _ON_BASE:
        return _on_base(Path(path), state, about, any_size=any_size), about
    try:
        model = _fresh(about, any_size=any_size)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    fill(model, state, path)
    for key in ("mean", "std"):
        if not torch.allclose(getattr(model, key).flatten(), torch.tensor(about[key], dtype=torch.float32)):
            raise ValueError(f"{path}: {key} in the weights differs from {about[key]} in the metadata")
    if isinstance(model, Classifier) and about["classes"]:
        model.check(path, about["classes"])
    return model.eval(), about


def head_state(model: nn.Module) -> dict[str, Tensor]:
    """The entries of a model that are not of its network."""
    return {key: value for key, value in model.state_dict().items() if not key.startswith(_OF_NETWORK)}


def network_state(model: nn.Module) -> dict[str, Tensor]:
    """The entries of a model that are of its network."""
    return {key: value for key, value in model.state_dict().items() if key.startswith(_OF_NETWORK)}


def _on_base(path: Path, state: dict[str, Tensor], about: dict[str, Any], *, any_size: bool) -> nn.Module:
    """The model of a file of robustness tokens, or of a head: that of the base, which is beside it, with them."""
    kind, base = about["kind"], path.parents[1] / about["base"] / path.name
    if not base.exists():
        raise ValueError(
            f"{path}: its {_ON_BASE[kind]} for '{about['base']}', but {base} does not exist: make it first"
        )
    if sha256_of(base) != about["base_sha256"]:
        raise ValueError(f"{path}: its {_ON_BASE[kind]} for other weights than {base} has now: train the {kind} again")
    if kind == TOKENS and [*state] != [TOKENS]:
        raise ValueError(f"{path}: holds {', '.join(state) or 'nothing'} instead of tokens")
    dense = about.get("task", PLAIN[0]) not in PLAIN
    model, _ = load(base, any_size=any_size or (kind == HEAD and dense))
    try:
        if kind == TOKENS:
            tokens.attach(model.network, state[TOKENS], about["position"])
            return model.eval()
        model = headed(about, model.network, state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    fill(model, network_state(model) | state, path)
    return model.eval()


def headed(about: dict[str, Any], network: nn.Module, state: dict[str, Tensor] | None = None) -> nn.Module:
    """A model of the task that metadata describe, with a head of random weights on a network.

    Parameters
    ----------
    about : metadata of a head
    network : vision transformer of timm, which for dense tasks takes images of any size
    state : of the file of the head, of which nearest neighbours need the number of images
    """
    if (task := about.get("task", PLAIN[0])) in PLAIN:
        return linear.create(about, network, state)
    return adapters.of(task).create({"code": {}} | about, seed=0, network=network)


def _fresh(about: dict[str, Any], *, any_size: bool) -> nn.Module:
    """A model of the kind that metadata describe, with random weights."""
    if (task := about.get("task", "classification")) not in PLAIN:
        return adapters.of(task).create({"code": {}} | about, seed=0)
    shape = (about["arch"], about["classes"], about["size"], about["mean"], about["std"])
    return create(*shape, seed=0, code=about.get("code", {}), any_size=any_size)


# BatchNorm's count of batches, which files older than 2018 do not have and which torch does not ask for either.
COUNTER = "num_batches_tracked"


def fill(model: nn.Module, state: dict[str, Tensor], path: str | Path) -> None:
    """Put a state into a model, all of it or nothing; counts of batches that it lacks stay what they are.

    Raises
    ------
    ValueError
        With all missing keys and what the state may have in their place, extra keys and differing shapes.
    """
    own = model.state_dict()
    state = {key: value for key, value in own.items() if key.endswith(COUNTER)} | state
    missing = [f"missing {key}{like(key, own, state)}" for key in own if key not in state]
    extra = [f"extra {key}" for key in state if key not in own]
    shapes = [
        f"{key} has shape {tuple(state[key].shape)}, expected {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if wrong := [shortened(parts, 8) for parts in (missing, extra, shapes) if parts]:
        name = type(model.network if isinstance(model, Classifier) else model).__name__
        raise ValueError(f"{path} does not fit {name}: {'; '.join(wrong)}")
    model.load_state_dict(state)


def like(key: str, own: dict[str, Tensor], state: dict[str, Tensor]) -> str:
    """What a state has in place of a missing key: the nearest name of that shape among those that it has too many."""
    others = [name for name, value in state.items() if name not in own and value.shape == own[key].shape]
    nearest = difflib.get_close_matches(key, others, n=1, cutoff=0)
    return f" (the file has {nearest[0]} of its shape)" if nearest else ""


def shortened(parts: Sequence[str], most: int) -> str:
    """Parts of a message, joined; of more than so many, how many more."""
    return "; ".join(parts[:most]) + (f"; and {len(parts) - most} more" if len(parts) > most else "")
