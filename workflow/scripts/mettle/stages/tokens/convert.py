"""Published robustness tokens as tokens of this project, and tokens as registers of DINOv2."""

from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from mettle import models
from mettle.data import archives
from mettle.data.checkpoints import fetched
from mettle.digests import sha256_of
from mettle.files import atomic
from mettle.flow import Job
from mettle.models import dinov2_names, tokens, unpickled
from mettle.models.weights import TOKENS
from mettle.stages.tokens.record import described
from mettle.typed import ModelRow, TokensRecipe

# Where a file may hold tokens: those that the authors released, and DINOv2's files, whose registers end in them.
_NAMES = ("rtokens", "register_tokens")


def convert(
    row: ModelRow,
    recipe: TokensRecipe,
    base: str | Path,
    target: str | Path,
    job: Job,
    *,
    said: dict[str, Any] | None = None,
) -> None:
    """Write published tokens as safetensors.

    Parameters
    ----------
    row : row of the tokens; `source` is a file already downloaded, of torch.save, with tokens (1, n, width) under
        `rtokens`, or as the last registers under `register_tokens`
    recipe : recipe of kind tokens, for their number and position
    base : weights of the network that they are for
    target : file to write
    job : log, provenance
    said : further metadata, with the keys `mettle.models.weights.SAID`

    Raises
    ------
    ValueError
        If the file does not have the row's SHA-256, holds no tokens, another number of them, or others than fit.
    FileNotFoundError
        If the source does not exist.
    """
    file = fetched(row, job)
    with archives.taken(file.path, file.member) as path:
        values = _read(path, recipe["n"])
    model, about = models.load(base)
    try:
        tokens.attach(model.network, values, recipe["position"])
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from error
    own = described(row, recipe, about, sha256_of(base), values.shape[-1], job)
    own |= {"source": row["source"], "sha256": file.sha256} | (said or {})
    models.save(target, {TOKENS: values}, own)


def _read(path: Path, n: int) -> Tensor:
    content = unpickled.read(path)
    names = [name for name in _NAMES if isinstance(content, dict) and isinstance(content.get(name), Tensor)]
    if not names or content[names[0]].ndim != 3:
        raise ValueError(f"{path}: holds no robustness tokens, under `rtokens` or at the end of `register_tokens`")
    values = content[names[0]].detach().float()
    if values.shape[1] < n or (names[0] == "rtokens" and values.shape[1] != n):
        raise ValueError(f"{path}: holds {values.shape[1]} tokens, the recipe says n {n}: correct it")
    return values[:, values.shape[1] - n :]


def registers(weights: str | Path, target: str | Path, config: str | Path) -> None:
    """Write DINOv2 with robustness tokens as a file of its authors, in which the tokens are registers.

    Parameters
    ----------
    weights : of robustness tokens, with those of their base beside them
    target : file to write, of torch.save, with plain tensors by name
    config : file to write, YAML: what the authors' network has to be built with. Their position embeddings are
        interpolated as those of the base, whatever number of registers there is now

    Raises
    ------
    ValueError
        If the model has no tokens, or its network is none of DINOv2.
    """
    model, about = models.load(weights)
    if about.get("kind") != TOKENS:
        raise ValueError(f"{weights}: has no robustness tokens, so there is nothing to make registers of")
    if not about["arch"].startswith("dinov2_vit"):
        raise ValueError(
            f"{weights}: is of architecture '{about['arch']}', but only DINOv2's networks have this format"
        )
    state = model.network.state_dict()
    values = state.pop("robustness.tokens")
    found = dinov2_names.to_authors(state)
    before = [found["register_tokens"]] if "register_tokens" in found else []
    found["register_tokens"] = torch.cat([*before, values], dim=1).clone()
    with atomic(target) as tmp:
        torch.save({name: value.contiguous() for name, value in found.items()}, tmp)
    with atomic(config) as tmp:
        tmp.write_text(yaml.safe_dump(_config(model.network, found["register_tokens"].shape[1]), sort_keys=False))


def _config(network: torch.nn.Module, n: int) -> dict[str, Any]:
    """Arguments of the authors' network for a state with n registers."""
    gated = network.blocks[0].mlp.fc1.out_features == 2 * network.blocks[0].mlp.fc2.in_features
    names = {384: "vit_small", 768: "vit_base", 1024: "vit_large", 1536: "vit_giant2"}
    flags = {"interpolate_antialias": network.antialias, "interpolate_offset": 0.0 if network.antialias else 0.1}
    shape = {"arch": names.get(network.embed_dim), "patch_size": 14, "img_size": 518, "init_values": 1.0}
    shape |= {"ffn_layer": "swiglufused" if gated else "mlp", "block_chunks": 0}
    return shape | {"num_register_tokens": n} | flags
