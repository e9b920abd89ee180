"""What each job is told: its inputs, and the parameters that its numbers depend on."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from mettle import schema
from mettle.plan import classes, engines, given, names, sources
from mettle.plan.cells import Cells, get
from mettle.plan.sheets import Row

SHARED = "results"  # stores and weights are here, whatever folder the configuration names

# Cells of a model's row that decide its weights or stand in their metadata.
_OF_WEIGHTS = ("model", "dataset", "arch", "classes", "threat", "eps", "seed", "recipe")

# Cells of a data set's row that decide targets beyond a label.
_OF_TARGETS = ("task", "ignore", "depth_unit")
# Cells of a data set's row that its page shows, or draws its targets by.
_SHOWN = ("dataset", "task", "ignore", "depth_min", "depth_max", "version", "licence", "source", "home")


def dense(row: Row) -> bool:
    """Whether a data set has targets beyond a label, which are stored beside its images."""
    return row["task"] != ["classification"]


def uncounted(value: Any) -> Callable[[Any, Any], Any]:
    """A params function for what a job is told although no number depends on it: a change of it makes nothing again.

    Snakemake counts no params function that takes `input`: what that gives follows from files, which count themselves.

    Parameters
    ----------
    value : what the job is told, or a function of its wildcards
    """
    return lambda wildcards, input: value(wildcards) if callable(value) else value


def images_of(stores: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    """Input function: the images among what another gives, stores and their manifests.

    Rules take them as `ancient`: a manifest says all that its images hold, so that it alone tells whether they changed.
    """
    return lambda wildcards: [path for path in stores(wildcards) if path.endswith(".lmdb")]


def manifests_of(stores: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    """Input function: the manifests among what another gives."""
    return lambda wildcards: [path for path in stores(wildcards) if not path.endswith(".lmdb")]


class Jobs(Cells):
    """Input and params functions of the rules, stage by stage.

    Methods with a `wildcards` argument are such functions; any object or mapping with the wildcards' names will do.
    """

    conda: bool  # whether jobs get environments of their own
    here: bool  # whether they run on this machine

    pattern = staticmethod(names.pattern)

    # Folders

    @property
    def logs(self) -> str:
        """Folder of the logs of evaluations: in that of their results, unless it is `results`."""
        return "logs" if self.results == SHARED else f"{self.results}/logs"

    @property
    def benchmarks(self) -> str:
        """Folder of the run times of evaluations, likewise."""
        return "benchmarks/results" if self.results == SHARED else f"{self.results}/benchmarks"

    def state(self, path: str) -> str:
        """Where an unfinished job keeps its state: no declared output, since Snakemake deletes those of failed jobs."""
        return f"{self.results}/.resume/{path}"

    # Download, prep, train

    @property
    def awaited(self) -> list[str]:
        """Downloads that are not there yet; the others are files like any other, which no rule makes."""
        return [name for name in self.downloads if not (sources.DOWNLOADS / name).exists()]

    def address(self, wildcards: Any) -> str:
        """Address of a download."""
        return self.download(wildcards)["url"]

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

    def source_row(self, wildcards: Any) -> Row:
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

    def model_source(self, wildcards: Any) -> list[str]:
        """The file that a checkpoint is read from."""
        return given.checkpoint(self.model_row(wildcards)["source"])

    def stores(self, wildcards: Any) -> list[str]:
        """Stores and manifests of all splits of a data set."""
        dataset = get(wildcards, "dataset")
        return [path for key in ("train", "test") if self.datasets[dataset][key] for path in self.store(dataset, key)]

    def dataset_row(self, wildcards: Any) -> Row:
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

    def prep_row(self, wildcards: Any) -> Row:
        """Row of datasets.tsv with what else decides its labels."""
        dataset = get(wildcards, "dataset")
        return self.datasets[dataset] | classes.named_by(self.datasets, dataset)

    def train_store(self, wildcards: Any) -> list[str]:
        """Training images of a model."""
        return self.store(self.models[get(wildcards, "model")]["dataset"], "train")

    def mixed_store(self, wildcards: Any) -> list[str]:
        """Training images that a model's recipe mixes in; none for most."""
        mix = self.recipe(wildcards).get("mix")
        return self.store(mix["dataset"], "train") if mix else []

    def base_weights(self, wildcards: Any) -> list[str]:
        """Weights that the training of a model starts from; none for most."""
        base = self.models[get(wildcards, "model")].get("base")
        return [f"results/train/{base}/weights.safetensors"] if base else []

    def model_row(self, wildcards: Any) -> Row:
        """Row of a model with the number of classes of its data set."""
        row = self.models[get(wildcards, "model")]
        return row | {"classes": self.datasets[row["dataset"]].get("classes")}

    def trained_row(self, wildcards: Any) -> Row:
        """What of its row decides the weights of a model that is trained, or is written down with them."""
        row = self.model_row(wildcards)
        return {key: row[key] for key in (*_OF_WEIGHTS, "base") if key in row}

    def converted_row(self, wildcards: Any) -> Row:
        """What of its row decides the weights of a model that is converted, or is written down with them."""
        row = self.model_row(wildcards)
        return {key: row[key] for key in (*_OF_WEIGHTS, "source", "format")}

    def sha256(self, wildcards: Any) -> str | None:
        """SHA-256 that the row of a converted model states, if it does."""
        return self.model_row(wildcards).get("sha256")

    def said(self, wildcards: Any) -> Row:
        """What is said of a model and decides no weight: second address, licence, reference, published accuracies."""
        model, row = get(wildcards, "model"), self.model_row(wildcards)
        found = {key: row.get(key, "") for key in ("mirror", "licence", "reference")}
        return found | {"expected": [numbers for name, numbers in self._expected if name == model]}

    @cached_property
    def _expected(self) -> list[tuple[str, Row]]:
        """Models with their published accuracies, in the order of the sheets."""
        rows = [row for sheet in self.config["expected"] for row in schema.read_sheet(sheet, "published").values()]
        return [(row["model"], {key: row[key] for key in row if key != "model"}) for row in rows]

    def card(self, wildcards: Any) -> Row:
        """What a model's card says beyond the metadata of the weights: of the model, and of its training data."""
        row = self.model_row(wildcards)
        data = {key: self.datasets[row["dataset"]][key] for key in ("licence", "names")}
        own = {key: row[key] for key in ("model", "dataset", "recipe", "seed")}
        return self.said(wildcards) | {"row": own, "data": data}

    def recipe(self, wildcards: Any) -> Row:
        """Training recipe of a model, defaults filled in."""
        return self.recipes.get(self.models[get(wildcards, "model")]["recipe"])

    def published_row(self, wildcards: Any) -> Row:
        """What of its row a data set that is handed on as one of TFDS says."""
        row = self.dataset_row(wildcards)
        return {key: row.get(key) for key in ("dataset", "classes", "home", "parent", "test")}

    # Attack

    def kept_weights(self, wildcards: Any) -> str:
        """Weights of the epochs that a training keeps; the weights themselves of a model that keeps none."""
        model = get(wildcards, "model")
        keeps = self.models[model]["source"] == "train" and self.recipe(wildcards)["checkpoints"]
        return f"results/train/{model}/{'checkpoints' if keeps else 'weights.safetensors'}"

    def ball(self, wildcards: Any) -> Row:
        """Norm and eps of an attack."""
        return {key: self.attack(wildcards)[key] for key in ("norm", "eps")}

    # Invert, represent

    @property
    def image_sets(self) -> str:
        """Regular expression of the image sets that models are represented on."""
        return f"natural|train|inverted-(?:{self.pattern(self.models)})"

    def pair_store(self, wildcards: Any) -> list[str]:
        """Held-out images of a data set, among which seeds and targets of inversion are drawn."""
        return self.store(get(wildcards, "dataset"), "test")

    @property
    def drawn_pairs(self) -> list[str]:
        """Data sets whose seeds and targets are drawn; those of others are listed."""
        return [name for name in self.datasets if name not in self.config["invert"]["lists"]]

    def lists(self, wildcards: Any) -> Row:
        """The lists of seeds and targets of a data set, and what they count.

        Raises
        ------
        ValueError
            If the configuration has none, or names a file that is not there.
        """
        dataset, where = get(wildcards, "dataset"), "configuration: invert.lists"
        if dataset not in self.config["invert"]["lists"]:
            raise ValueError(
                f"{where} has no '{dataset}': name the lists of seeds and targets behind its published images"
            )
        options = self.config["invert"]["lists"][dataset]
        paths = {key: given.listed(options[key], f"{where}.{dataset}.{key}") for key in ("targets", "seeds")}
        return options | {key: str(path) for key, path in paths.items() if path}

    def pair_lists(self, wildcards: Any) -> list[str]:
        """Files of the lists of a data set."""
        lists = self.lists(wildcards)
        return [lists[key] for key in ("targets", "seeds") if lists[key]]

    @property
    def inverted_here(self) -> list[str]:
        """Models that the workflow inverts."""
        return [name for name, row in self.models.items() if not row.get("inverted")]

    @property
    def inverted_elsewhere(self) -> list[str]:
        """Models with published inverted images."""
        return [name for name, row in self.models.items() if row.get("inverted")]

    def inverted_source(self, wildcards: Any) -> list[str]:
        """The file with the published images of a model.

        Raises
        ------
        ValueError
            If they are asked for on another data set than the model's, or the configuration has no lists for it.
        """
        row, dataset = self.models[get(wildcards, "model")], get(wildcards, "dataset")
        if row["dataset"] != dataset:
            raise ValueError(
                f"{self.where(row['model'])}: its published inverted images are of '{row['dataset']}', not of "
                f"'{dataset}': empty the column inverted to have the model inverted here"
            )
        self.lists(wildcards)
        return given.checkpoint(row["inverted"])

    def inverted_row(self, wildcards: Any) -> Row:
        """What of its row decides the published images of a model."""
        row = self.models[get(wildcards, "model")]
        return {key: row[key] for key in ("model", "inverted")}

    @property
    def inversion(self) -> Row:
        """Options that decide what inversion finds."""
        return {key: self.config["invert"][key] for key in ("steps", "step_size", "momentum")}

    def image_set(self, wildcards: Any) -> list[str]:
        """Store and manifest of the images that a path names: natural, train, or inverted through a model.

        Raises
        ------
        ValueError
            If the model cannot be evaluated on them.
        """
        images, dataset, model = (get(wildcards, key) for key in ("images", "dataset", "model"))
        held_out = self.test_store(wildcards)
        if images == "natural":
            return held_out
        if images == "train":
            return self.store(dataset, "train")
        source = images.removeprefix("inverted-")
        if not self.fits(source, dataset):
            raise ValueError(
                f"{self.where(source)}: is not a model of '{dataset}', so '{model}' cannot be evaluated on its images"
            )
        return [f"{self.results}/invert/{dataset}/{source}.lmdb", f"{self.results}/invert/{dataset}/{source}.parquet"]

    def sample(self, wildcards: Any) -> int | None:
        """Images to represent: a sample of the held-out ones, all of other sets."""
        return self.config["represent"]["sample"] if get(wildcards, "images") == "natural" else None

    def seed_of_sample(self, wildcards: Any) -> int | None:
        """The seed, where images are drawn or shuffled: a sample of held-out ones, and training images."""
        return self.config["seed"] if get(wildcards, "images") in ("natural", "train") else None

    # Compare

    def each_above(self, path: str) -> Callable[[Any], list[str]]:
        """Input function: a path with wildcards, for each of the models before that of the job in its set."""

        def paths(wildcards: Any) -> list[str]:
            self.test_store(wildcards)  # a sentence for a model that cannot be evaluated on the data set
            return [
                path.format(dataset=get(wildcards, "dataset"), model=other) for other in self.names_above(wildcards)
            ]

        return paths

    @property
    def seed_of_scores(self) -> int | None:
        """The seed, where something is drawn beside a score: permuted images, or independent features."""
        options = self.config["compare"]
        return self.config["seed"] if options["permutations"] or options["floor"] else None

    def represented_for_gpu(self, wildcards: Any) -> list[str]:
        """As `represented`, for a measure whose engine computes on a GPU.

        Raises
        ------
        ValueError
            If the engine cannot run.
        """
        name = get(wildcards, "measure")
        if lack := engines.lacks(self.measures[name]["engine"], conda=self.conda, here=self.here):
            raise ValueError(f"measure '{name}': {lack}")
        return self.represented(wildcards)

    @property
    def on_gpu(self) -> list[str]:
        """Measures whose engine computes on a GPU."""
        return engines.on_gpu(self.measures)

    @property
    def on_cpu(self) -> list[str]:
        """The other measures."""
        return [name for name in self.measures if name not in self.on_gpu]

    def measure(self, wildcards: Any) -> Row:
        """Method and options of a measure, defaults filled in."""
        return self.measures[get(wildcards, "measure")]

    def pairs(self, wildcards: Any) -> Row:
        """What a cell of compared models carries as keys: norm and eps of its set's models; none if they differ."""
        if self.sets[get(wildcards, "set")].across:
            return {"norm": None, "eps": None}
        return self.keys_of(get(wildcards, "model"))

    # Probe

    def classes(self, wildcards: Any) -> int:
        """Number of classes of a data set."""
        return self.datasets[get(wildcards, "dataset")]["classes"]


def _without_splits(row: Row) -> Row:
    """Cells of a row and of its parents, but for the names of splits: another split changes nothing of this one."""
    kept = {key: value for key, value in row.items() if key not in ("train", "test")}
    return kept | ({"parent_row": _without_splits(kept["parent_row"])} if "parent_row" in kept else {})
