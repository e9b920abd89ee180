"""Packages that only some configurations need, and what a dry run says where one is missing."""

from importlib.util import find_spec

# By what asks for them: packages, each with the module that it brings. Those of all but `UNLISTED` are in
# requirements-extras.txt.
EXTRAS = {
    "tensorboard": {"tensorboard": "tensorboard"},
    "wandb": {"wandb": "wandb"},
    "pyautoattack": {"pyautoattack": "pyautoattack"},
    "ripser": {"ripser": "ripser"},
    "giotto": {"giotto-ph": "gph"},
    "tfds": {
        "tensorflow-datasets": "tensorflow_datasets",
        "array_record": "array_record",
        "google-crc32c": "google_crc32c",
    },
    "s3": {"snakemake-storage-plugin-s3": "snakemake_storage_plugin_s3"},
    "gcs": {"snakemake-storage-plugin-gcs": "snakemake_storage_plugin_gcs"},
}
UNLISTED = {"giotto"}  # under a licence (AGPL) that not everyone can take


def need(name: str, where: str, *, conda: bool) -> None:
    """Check that the packages behind an option are installed.

    Parameters
    ----------
    name : what asks for them, a key of `EXTRAS`; any other needs none
    where : what asked, for the message
    conda : whether jobs get an environment of their own, which brings what is in requirements-extras.txt

    Raises
    ------
    ValueError
        If one is missing; says how to install it.
    """
    if conda and name not in UNLISTED:
        return
    if missing := [package for package, module in EXTRAS.get(name, {}).items() if find_spec(module) is None]:
        packages = " and ".join(missing)
        noun, verb = ("package", "is") if len(missing) == 1 else ("packages", "are")
        by_pip = f"`pip install {' '.join(missing)} --constraint requirements.lock`"
        remedy = by_pip if name in UNLISTED else f"`make extras`, or {by_pip}"
        raise ValueError(f"{where} needs the {noun} {packages}, which {verb} not installed: {remedy}")
