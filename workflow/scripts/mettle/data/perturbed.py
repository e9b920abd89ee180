"""
Stores of attacked images and of their perturbations, made from an image store and an attack's results.

An attacked image is stored in 8 bits, each value rounded towards the clean image: it stays inside the ball around it.
A perturbation is stored as the picture (clean - attacked + eps) / (2 eps) in 8 bits: 0 is -eps, 1 is +eps, grey is no
change. What is read back, (2 v - 1) eps of a value v in [0, 1], differs from the perturbation by eps/255 at most. The
sign, clean minus attacked, is that of Debenedetti et al. 2023 (arXiv:2209.07399): the picture
shows what the attack takes away.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mettle import tables
from mettle.data.item import Item, png
from mettle.data.store import Store, write
from mettle.units import eps_text

KINDS = ("adversarial", "perturbation")
_FACTS = ("kind", "norm", "eps", "clean")
_SHA256 = " sha256 "
_SLACK = 1e-3  # of one of 255 levels: float32 images are this close to the level that they mean
_DISTANCE = {
    "l1": lambda change: np.abs(change).sum((1, 2, 3)),
    "linf": lambda change: np.abs(change).max((1, 2, 3)),
    "l2": lambda change: np.sqrt(np.square(change).sum((1, 2, 3))),
}
Batches = Iterable[tuple[Sequence[int], Any, Any, Mapping[str, Sequence[bool]]]]


def write_perturbed(
    lmdb_path: str | Path,
    manifest_path: str | Path,
    clean: Store,
    batches: Batches,
    kind: str,
    eps: float,
    norm: str,
    *,
    provenance: dict[str, Any] | None = None,
    progress: Callable[[Iterable[Item]], Iterable[Item]] | None = None,
) -> int:
    """Write a store of attacked images or perturbations, with the ids and labels of the clean store.

    The manifest is a table `tables.PERTURBED`, whose flags say which images cast doubt on the attack. Its `source`
    holds source and SHA-256 of the clean image, see `origin`; its provenance says what the images are, see `facts`.

    Parameters
    ----------
    lmdb_path, manifest_path : files to write
    clean : the store that the ids are from
    batches : ids, ascending; clean images as the model saw them and attacked images, arrays or CPU tensors
        (n, 3, h, w) in [0, 1]; and per flag of `tables.FLAGS` the truth value of each image
    kind : `adversarial` or `perturbation`
    eps : radius of the attack's ball in pixel range [0, 1], more than 0
    norm : `l1`, `l2` or `linf`
    provenance, progress : see `mettle.data.write`

    Returns
    -------
    Number of images written.

    Raises
    ------
    ValueError
        If kind or norm is unknown, eps is not positive, an id is not in the clean store or not ascending, a clean
        image is not in 8 bits, or an attacked image is outside the ball or the pixel range.
    """
    if kind not in KINDS or norm not in _DISTANCE or not eps > 0:
        raise ValueError(
            f"kind must be one of {KINDS}, norm one of {tuple(_DISTANCE)}, eps more than 0; got {kind}, {norm}, {eps}"
        )
    about = (provenance or {}) | dict(zip(_FACTS, (kind, norm, float(eps), clean.digest), strict=True))
    items = _items(clean, batches, kind, eps, norm)
    return write(lmdb_path, manifest_path, items, table=tables.PERTURBED, provenance=about, progress=progress)


def origin(source: str) -> tuple[str, str]:
    """Source and SHA-256 of the clean image, from the `source` of an image made by `write_perturbed`."""
    file, found, sha256 = source.rpartition(_SHA256)
    if not found:
        raise ValueError(f"'{source}' names no clean image with its SHA-256: its store holds no attacked images")
    return file, sha256


def facts(store: Store) -> dict[str, Any]:
    """What a store of `write_perturbed` holds: kind, norm and eps, and under `clean` the digest of the clean store."""
    made_by = store.manifest().attrs["provenance"][-1:] or [{}]
    if missing := [key for key in _FACTS if key not in made_by[0]]:
        raise ValueError(f"{store.path} has no attacked images: its manifest states no {', '.join(missing)}")
    return {key: made_by[0][key] for key in _FACTS}


def adversarial(clean: np.ndarray, attacked: np.ndarray, eps: float, norm: str) -> np.ndarray:
    """Attacked images in 8 bits, uint8 (n, 3, h, w), inside the ball around the clean images in 8 bits.

    Parameters
    ----------
    clean, attacked : (n, 3, h, w) in [0, 1], float64; the clean ones are multiples of 1/255
    eps, norm : the ball

    Notes
    -----
    A change within a thousandth of a level is rounded to that level, so that float32 noise costs no level; images that
    leave the ball by this are rounded towards the clean image without it.
    """
    change, radius = (attacked - clean) * 255, eps * 255
    levels = np.trunc(change + np.sign(change) * _SLACK)
    outside = _DISTANCE[norm](levels) > radius * (1 + 1e-12)
    shrink = radius / np.maximum(_DISTANCE[norm](change), radius)
    levels[outside] = np.trunc(change * shrink[:, None, None, None])[outside]
    return (np.rint(clean * 255) + levels).astype(np.uint8)


def perturbation(clean: np.ndarray, attacked: np.ndarray, eps: float) -> np.ndarray:
    """Pictures of perturbations, uint8 (n, 3, h, w), from float64 images in [0, 1] that differ by eps at most."""
    return np.rint(255 * np.clip((clean - attacked + eps) / (2 * eps), 0, 1)).astype(np.uint8)


def _items(clean: Store, batches: Batches, kind: str, eps: float, norm: str) -> Iterator[Item]:
    known = {row.id: row for row in clean.manifest().itertuples(index=False)}
    for ids, before, after, flags in batches:
        if missing := [number for number in map(int, ids) if number not in known]:
            raise ValueError(f"{clean.path} holds no image with id {missing[0]}")
        before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
        _check(ids, before, after, eps, norm)
        made = adversarial(before, after, eps, norm) if kind == "adversarial" else perturbation(before, after, eps)
        for place, (number, image) in enumerate(zip(map(int, ids), made, strict=True)):
            row = known[number]
            source = f"{row.source}{_SHA256}{row.sha256}"
            more = {key: bool(values[place]) for key, values in flags.items()}
            yield Item(png(image.transpose(1, 2, 0)), row.label, row.class_name, source, id=number, more=more)


def _check(ids: Sequence[int], clean: np.ndarray, attacked: np.ndarray, eps: float, norm: str) -> None:
    """Raise ValueError for images that differ in shape, are not in 8 bits, or lie outside ball or pixel range."""
    if clean.shape != attacked.shape or len(clean) != len(ids):
        raise ValueError(f"{len(ids)} ids, clean images {clean.shape} and attacked images {attacked.shape} do not pair")
    rules = {
        "it has NaN or infinite values": ~np.isfinite(attacked).all((1, 2, 3)),
        "its clean image is not in 8 bits": np.abs(clean * 255 - np.rint(clean * 255)).max((1, 2, 3)) > _SLACK,
        "it leaves the pixel range [0, 1]": (attacked.min((1, 2, 3)) < 0) | (attacked.max((1, 2, 3)) > 1),
        f"it is outside the {norm} ball of radius {eps_text(eps)}": _DISTANCE[norm](attacked - clean) > eps + 1e-6,
    }
    for rule, wrong in rules.items():
        if wrong.any():
            raise ValueError(f"attacked image with id {ids[int(wrong.argmax())]}: {rule}")
