"""Publish stage: image stores as data sets of TensorFlow Datasets, for use outside this project."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from mettle.data import Store, perturbed, to_tfds
from mettle.data.lists import read_list
from mettle.data.to_tfds import Value
from mettle.typed import DatasetRow

_LIGHT = "https://github.com/dedeswim/vits-robustness-torch"


@dataclass(frozen=True)
class Publication:
    """Names and description of a data set in TFDS.

    Attributes
    ----------
    name, version : in TFDS
    description : one sentence
    splits : names of splits that differ in TFDS
    names : list file with all class names in the order of the labels; empty takes those of the images
    homepage : its origin
    """

    name: str
    version: str
    description: str
    splits: Mapping[str, str] = field(default_factory=dict)
    names: str = ""
    homepage: str = _LIGHT


PUBLICATIONS = {
    "imagenet100": Publication(
        "image_net_subset",
        "1.0.0",
        "ImageNet restricted to 100 classes, drawn once; labels follow the sorted synsets.",
        {"val": "validation"},
        "resources/lists/imagenet100_synsets.txt",
    ),
    "imagenet_rb5000": Publication(
        "robustbench_image_net",
        "1.0.0",
        "The 5,000 images of ImageNet's validation split that RobustBench evaluates on, with their 1,000-class labels.",
        {"val": "validation"},
        "resources/lists/imagenet_synsets.txt",
    ),
    "cifar10_ddpm": Publication(
        "cifar_ddpm", "1.0.0", "Images like those of CIFAR-10, drawn from a diffusion model (arXiv:2104.09425)."
    ),
}
_CLEAN = "`file_name` and `source_sha256` name the clean image."
# Ending of the name in TFDS and description, by kind of a store of attacked images.
PERTURBED = {
    "perturbation": (
        "perturbations",
        f"Adversarial perturbations as pictures, (clean - attacked + eps) / (2 eps) in 8 bits. {_CLEAN}",
    ),
    "adversarial": (
        "advex",
        f"Adversarial examples in 8 bits, rounded towards the clean image and so inside the ball. {_CLEAN}",
    ),
}


def publish(
    dataset: DatasetRow,
    stores: Iterable[str | Path],
    folder: str | Path,
    progress: Callable[[Iterable], Iterable] | None = None,
) -> Path:
    """Write a data set of the sheet as `folder/name/version`; a row without an entry in `PUBLICATIONS` keeps its name.

    Parameters
    ----------
    dataset : row of datasets.tsv
    stores : LMDB files of its splits, among their manifests
    folder : TFDS's `data_dir`
    progress : wraps the images of a split

    Returns
    -------
    Folder of the data set. Raises what `to_tfds.publish` raises.
    """
    splits = {path.stem: path for path in map(Path, stores) if path.suffix == ".lmdb"}
    return _write(_publication(dataset), splits, folder, dataset["classes"], to_tfds.file_name, progress)


def publish_perturbed(
    dataset: DatasetRow,
    store: str | Path,
    model: str,
    attack: str,
    folder: str | Path,
    progress: Callable[[Iterable], Iterable] | None = None,
) -> Path:
    """Write a store of attacked images or perturbations, with attack, model and clean image in every example.

    The name is that of the data set, or of its parent, and `perturbations` or `advex`: `imagenet_perturbations`.

    Parameters
    ----------
    dataset : row of datasets.tsv whose `test` split was attacked
    store : LMDB file that `data.write_perturbed` made
    model, attack : names of the model that was attacked and of the attack
    folder : TFDS's `data_dir`
    progress : wraps the images

    Returns
    -------
    Folder of the data set. Raises what `to_tfds.publish` and `perturbed.facts` raise.
    """
    known = perturbed.facts(Store(store))
    ending, description = PERTURBED[known["kind"]]
    name = f"{dataset['parent'] or dataset['dataset']}_{ending}"
    publication = replace(_publication(dataset), name=name, description=description)
    about = {"model": model, "attack": attack, "norm": known["norm"], "eps": known["eps"]}
    return _write(
        publication, {dataset["test"]: store}, folder, dataset["classes"], partial(_attacked, about), progress
    )


def _publication(dataset: DatasetRow) -> Publication:
    name = dataset["dataset"]
    return PUBLICATIONS.get(name) or Publication(name.lower(), "1.0.0", f"{name}: {dataset['home']}", homepage="")


def _write(
    publication: Publication,
    stores: Mapping[str, str | Path],
    folder: str | Path,
    classes: int,
    extra: Callable[[str], Mapping[str, Value]],
    progress: Callable[[Iterable], Iterable] | None,
) -> Path:
    return to_tfds.publish(
        {publication.splits.get(split, split): path for split, path in stores.items()},
        publication.name,
        publication.version,
        folder,
        publication.description,
        classes=classes,
        names=read_list(publication.names) if publication.names else None,
        extra=extra,
        homepage=publication.homepage or None,
        progress=progress,
    )


def _attacked(about: Mapping[str, Value], source: str) -> dict[str, Value]:
    file, sha256 = perturbed.origin(source)
    return {"file_name": file, "source_sha256": sha256, **about}
