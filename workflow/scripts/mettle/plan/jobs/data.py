"""What jobs on data sets are told: downloads, packing, browsing, handing on."""

from functools import cached_property
from pathlib import Path
from typing import Any

from mettle.plan import classes, corrupted, extras, given, sources
from mettle.plan.cells import Cells
from mettle.plan.sheets import Row
from mettle.plan.stores import get
from mettle.typed import DatasetRow

# Cells of a data set's row that decide targets beyond a label.
_OF_TARGETS = ("task", "ignore", "depth_unit", "depth_min", "depth_max", "depth_crop")
# Cells of a data set's row that its page shows, or draws its targets by.
_SHOWN = ("dataset", "task", "ignore", "depth_min", "depth_max", "version", "licence", "source", "home")


def dense(row: DatasetRow) -> bool:
    """Whether a data set has targets beyond a label, which are stored beside its images."""
    return row["task"] != ["classification"]


class Data(Cells):
    """Input and params functions of the rules that make stores, and of those that read nothing else."""

    conda: bool  # whether jobs get environments of their own

    @property
    def awaited(self) -> list[str]:
        """Downloads that are not there yet; the others are files like any other, which no rule makes."""
        return [name for name in self.downloads if not (sources.DOWNLOADS / name).exists()]

    def address(self, wildcards: Any) -> str:
        """Address of a download; ValueError if what fetches it is not installed."""
        asked = self.download(wildcards)
        for url in filter(None, (asked["url"], asked["mirror"])):
            extras.need(sources.plugin(url), f"{asked['where']}: the address {url}", conda=self.conda)
        return asked["url"]

    def download(self, wildcards: Any) -> Row:
        """Address, SHA-256 and row of a download."""
        return self.downloads[get(wildcards, "file")]

    @cached_property
    def absent(self) -> dict[str, str]:
        """Sources on this machine that are not there, each with what to say of it."""
        sheet = self.config["datasets"]
        rows = {f"row '{name}' in {sheet}": row for name, row in self.datasets.items()}
        inverted = {self.where(name): {"source": row.get("inverted", "")} for name, row in self.models.items()}
        return given.absent(rows, {self.where(name): row for name, row in self.models.items()}, inverted)

    @property
    def absent_paths(self) -> str:
        """Regular expression of what is absent: sources, and folders that were in them."""
        return f"(?:{self.pattern(self.absent)})(?:/.+)?"

    def missing(self, wildcards: Any) -> str:
        """What to say of a source that is needed and not there."""
        path = Path(get(wildcards, "path"))
        return next(self.absent[str(place)] for place in (path, *path.parents) if str(place) in self.absent)

    def dataset_source(self, wildcards: Any) -> list[str]:
        """What a split is packed from: a download, an archive or folders, and the lists that the rows name."""
        dataset, split = get(wildcards, "dataset"), get(wildcards, "split")
        where = f"{self.config['datasets']}, row '{dataset}'"
        kind, _, named = self.datasets[dataset]["reader"].partition("/")
        if named:
            extras.need(kind, f"{where}: reader '{kind}/{named}'", conda=self.conda)
        return given.images(self.prep_row(wildcards), split, Path(self.record(wildcards)), where)

    @property
    def dense(self) -> list[str]:
        """Data sets with targets beyond a label, which are packed beside their images."""
        return [name for name, row in self.datasets.items() if dense(row)]

    @property
    def labelled(self) -> list[str]:
        """Data sets whose only targets are labels."""
        return [name for name, row in self.datasets.items() if not dense(row)]

    def sources(self, wildcards: Any) -> list[str]:
        """What all splits of a data set are packed from."""
        row = self.dataset_row(wildcards)
        cells = [{"dataset": row["dataset"], "split": row[key]} for key in ("train", "test") if row[key]]
        return sorted({path for cell in cells for path in self.dataset_source(cell)})

    @property
    def folders(self) -> list[str]:
        """Data sets in one folder per class."""
        return [name for name, row in self.datasets.items() if row["reader"] == "folder"]

    @property
    def nyu(self) -> list[str]:
        """Data sets in the form of the archive of NYU Depth v2."""
        return [name for name, row in self.datasets.items() if row["reader"] == "nyu"]

    def source_row(self, wildcards: Any) -> DatasetRow:
        """What of its row decides what a data set is written from for other projects."""
        row = self.dataset_row(wildcards)
        return {key: row[key] for key in ("dataset", "source", "subset", "train", "test", "version") if key in row}

    def packed(self, wildcards: Any) -> list[str]:
        """Files of a packed split: images, manifest, and targets where they are more than labels."""
        dataset = get(wildcards, "dataset")
        endings = ["lmdb", "parquet", *(["targets.lmdb"] if dataset in self.dense else [])]
        return [f"results/prep/{dataset}/{get(wildcards, 'split')}.{ending}" for ending in endings]

    def browsed_row(self, wildcards: Any) -> Row:
        """What of its row is shown on the page of a data set, or decides how its targets are drawn."""
        row = self.dataset_row(wildcards)
        return {key: row[key] for key in _SHOWN if row.get(key) is not None}

    def record(self, wildcards: Any) -> str:
        """Where the packing of a split writes down its inputs; here, wherever results are."""
        return f"results/prep/{get(wildcards, 'dataset')}/.{get(wildcards, 'split')}.given"

    def stores(self, wildcards: Any) -> list[str]:
        """Stores and manifests of all splits of a data set."""
        dataset = get(wildcards, "dataset")
        return [path for key in ("train", "test") if self.datasets[dataset][key] for path in self.store(dataset, key)]

    def dataset_row(self, wildcards: Any) -> DatasetRow:
        """Row of datasets.tsv."""
        return self.datasets[get(wildcards, "dataset")]

    def content(self, wildcards: Any) -> Row:
        """What of the rows decides the images and labels of a data set."""
        row = self.prep_row(wildcards)
        given.check_classes(row, get(wildcards, "split"), f"{self.config['datasets']}, row '{row['dataset']}'")
        targets = {key: row[key] for key in _OF_TARGETS if key in row} if dense(row) else {}
        return {"version": row["version"]} | _without_splits(classes.named_by(self.datasets, row["dataset"])) | targets

    def seed_of_images(self, wildcards: Any) -> int | None:
        """The seed, where images of a data set are drawn: scenes are, those of others come as they are."""
        return self.config["seed"] if self.dataset_row(wildcards)["reader"] in given.DRAWN else None

    def test_split(self, wildcards: Any) -> str:
        """Name of the held-out split of a data set."""
        return self.datasets[get(wildcards, "dataset")]["test"]

    def clean_split(self, wildcards: Any) -> str:
        """Name of the held-out split whose images are corrupted: of published ones, the parent's."""
        row = self.dataset_row(wildcards)
        return self.datasets[row["parent"]]["test"] if row["reader"] in corrupted.PUBLISHED else row["test"]

    def prep_row(self, wildcards: Any) -> Row:
        """Row of datasets.tsv with what else decides its labels."""
        dataset = get(wildcards, "dataset")
        return self.datasets[dataset] | classes.named_by(self.datasets, dataset)

    def published_row(self, wildcards: Any) -> Row:
        """What of its row a data set that is handed on as one of TFDS says; ValueError if TFDS is not installed."""
        extras.need("tfds", "a data set for TFDS", conda=self.conda)
        row = self.dataset_row(wildcards)
        return {key: row.get(key) for key in ("dataset", "classes", "home", "parent", "test")}


def _without_splits(row: DatasetRow) -> DatasetRow:
    """Cells of a row and of its parents, but for the names of splits: another split changes nothing of this one."""
    kept = {key: value for key, value in row.items() if key not in ("train", "test")}
    return kept | ({"parent_row": _without_splits(kept["parent_row"])} if "parent_row" in kept else {})
