"""The plan: the answers that rules ask of configuration, sheets and recipes."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from mettle import schema
from mettle.plan import classes, given, names, sources
from mettle.plan.figures import FIGURES
from mettle.plan.recipes import check_fits
from mettle.plan.sheets import Row, Sheets, of_grid


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


class Plan(Sheets):
    """Which models, cells and figures there are, and what each job is told.

    Methods with a `wildcards` argument are input and params functions of rules; any object or mapping with the
    wildcards' names will do.

    Parameters
    ----------
    config : the mapping read from config/config.yaml and its overlays

    Raises
    ------
    ValueError
        One sentence that names the file and the key or row that is wrong.
    """

    pattern = staticmethod(names.pattern)

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        for figure, options in self.config["figures"].items():
            FIGURES[figure].check(self, options, f"configuration: figures.{figure}")

    # What there is

    @property
    def trained(self) -> list[str]:
        """Models that the workflow trains."""
        return [name for name, row in self.models.items() if row["source"] == "train"]

    @property
    def published(self) -> list[str]:
        """Models whose weights come from a published checkpoint."""
        return [name for name, row in self.models.items() if row["source"] != "train"]

    @cached_property
    def splits(self) -> list[str]:
        """Names of splits over all data sets."""
        return sorted({row[key] for row in self.datasets.values() for key in ("train", "test")} - {""})

    @property
    def image_sets(self) -> str:
        """Regular expression of the image sets that models are represented on."""
        return f"natural|train|inverted-(?:{self.pattern(self.models)})"

    def models_of(self, dataset: str) -> list[str]:
        """Models of a data set, in the order of the sheets; those of sweeps are asked for by their figures."""
        return [name for name, row in self.models.items() if row["dataset"] == dataset and "sweep" not in row]

    def models_of_sweep(self, sweep: str) -> list[str]:
        """Models of a sweep, in the order of its grid."""
        return [name for name, row in self.models.items() if row.get("sweep") == sweep]

    def fits(self, model: str, dataset: str) -> bool:
        """Whether a model can be evaluated on a data set: its own, or one that names its own as `parent`."""
        return self.models[model]["dataset"] in (dataset, self.datasets[dataset].get("parent"))

    def scores(self, model: str, dataset: str) -> bool:
        """Whether a model can be evaluated on a data set, and the labels there are among its classes."""
        own = self.models[model]["dataset"]
        return self.fits(model, dataset) and classes.alike(self.datasets, own, dataset)

    def group(self, model: str) -> tuple[str, str, float]:
        """Data set, threat and eps of a model: models are compared within a group."""
        row = self.models[model]
        return row["dataset"], row["threat"], row["eps"]

    @cached_property
    def _groups(self) -> dict[tuple[str, str, float], list[str]]:
        groups: dict[tuple[str, str, float], list[str]] = {}
        for name, row in self.models.items():
            if "sweep" not in row:
                groups.setdefault(self.group(name), []).append(name)
        return groups

    def above(self, model: str) -> list[str]:
        """Models that a model is compared with: those of its group above it in the sheet.

        Each unordered pair is thus made once, and a model added at the end of the sheet costs one cell.
        """
        members = self._groups.get(self.group(model), [])
        return members[: members.index(model)] if model in members else []

    def each_above(self, path: str) -> Callable[[Any], list[str]]:
        """Input function: a path with wildcards, for each of the models above that of the job."""

        def paths(wildcards: Any) -> list[str]:
            dataset, model = _get(wildcards, "dataset"), _get(wildcards, "model")
            self.test_store(wildcards)  # a sentence for a model that cannot be evaluated on the data set
            return [path.format(dataset=dataset, model=other) for other in self.above(model)]

        return paths

    def targets(self, figures: Iterable[str] | None = None) -> list[str]:
        """Everything that the configuration asks for, or what some of its figures are."""
        return [path for figure in figures or self.config["figures"] for path in self.files_of(figure)]

    def files_of(self, figure: str) -> list[str]:
        """The table of a figure, and its drawing where it has one.

        Raises
        ------
        ValueError
            If the configuration lists no such figure.
        """
        self.known(figure, self.config["figures"], "figure", "configuration: figures")
        drawing = [f"results/figures/{figure}.pdf"] if FIGURES[figure].drawn else []
        return [*drawing, f"results/tables/{figure}.parquet"]

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
        return self.downloads[_get(wildcards, "file")]

    @cached_property
    def absent(self) -> dict[str, str]:
        """Sources on this machine that are not there, each with what to say of it."""
        sheet = self.config["datasets"]
        rows = {f"row '{name}' in {sheet}": row for name, row in self.datasets.items()}
        return given.absent(rows, {self.where(name): row for name, row in self.models.items()})

    @property
    def absent_paths(self) -> str:
        """Regular expression of what is absent: sources, and folders that were in them."""
        return f"(?:{self.pattern(self.absent)})(?:/.+)?"

    def missing(self, wildcards: Any) -> str:
        """What to say of a source that is needed and not there."""
        path = Path(_get(wildcards, "path"))
        return next(self.absent[str(place)] for place in (path, *path.parents) if str(place) in self.absent)

    def dataset_source(self, wildcards: Any) -> list[str]:
        """What a split is packed from: a download, an archive or folders, and the lists that the rows name."""
        dataset, split = _get(wildcards, "dataset"), _get(wildcards, "split")
        manifest = Path(f"results/prep/{dataset}/{split}.parquet")
        return given.images(self.prep_row(wildcards), split, manifest, f"{self.config['datasets']}, row '{dataset}'")

    def model_source(self, wildcards: Any) -> list[str]:
        """The file that a checkpoint is read from."""
        return given.checkpoint(self.model_row(wildcards)["source"])

    def store(self, dataset: str, key: str) -> list[str]:
        """Store and manifest of the `train` or `test` split of a data set."""
        split = self.datasets[dataset][key]
        if not split:
            raise ValueError(f"{self.config['datasets']}, row '{dataset}': has no {key} split")
        return [f"results/prep/{dataset}/{split}.lmdb", f"results/prep/{dataset}/{split}.parquet"]

    def stores(self, wildcards: Any) -> list[str]:
        """Stores and manifests of all splits of a data set."""
        dataset = _get(wildcards, "dataset")
        return [path for key in ("train", "test") if self.datasets[dataset][key] for path in self.store(dataset, key)]

    def dataset_row(self, wildcards: Any) -> Row:
        """Row of datasets.tsv."""
        return self.datasets[_get(wildcards, "dataset")]

    def content(self, wildcards: Any) -> Row:
        """What of the rows decides the images and labels of a data set."""
        row = self.prep_row(wildcards)
        given.check_classes(row, _get(wildcards, "split"), f"{self.config['datasets']}, row '{row['dataset']}'")
        return {"version": row["version"]} | _without_splits(classes.named_by(self.datasets, row["dataset"]))

    def seed_of_images(self, wildcards: Any) -> int | None:
        """The seed, where images of a data set are drawn: scenes are, those of others come as they are."""
        return self.config["seed"] if self.dataset_row(wildcards)["reader"] in given.DRAWN else None

    def test_split(self, wildcards: Any) -> str:
        """Name of the held-out split of a data set."""
        return self.datasets[_get(wildcards, "dataset")]["test"]

    def prep_row(self, wildcards: Any) -> Row:
        """Row of datasets.tsv with what else decides its labels."""
        dataset = _get(wildcards, "dataset")
        return self.datasets[dataset] | classes.named_by(self.datasets, dataset)

    def train_store(self, wildcards: Any) -> list[str]:
        """Training images of a model."""
        return self.store(self.models[_get(wildcards, "model")]["dataset"], "train")

    def mixed_store(self, wildcards: Any) -> list[str]:
        """Training images that a model's recipe mixes in; none for most."""
        mix = self.recipe(wildcards).get("mix")
        return self.store(mix["dataset"], "train") if mix else []

    def base_weights(self, wildcards: Any) -> list[str]:
        """Weights that the training of a model starts from; none for most."""
        base = self.models[_get(wildcards, "model")].get("base")
        return [f"results/train/{base}/weights.safetensors"] if base else []

    def test_store(self, wildcards: Any) -> list[str]:
        """Held-out images that a model is evaluated on: of its data set, or of the one that the path names.

        Raises
        ------
        ValueError
            If the path names a data set that the model cannot be evaluated on, or takes images of no other size from.
        """
        model = _get(wildcards, "model")
        dataset = self.models[model]["dataset"]
        asked = _get(wildcards, "dataset", dataset)
        if asked not in self.datasets or not self.fits(model, asked):
            raise ValueError(f"{self.where(model)}: is a model of '{dataset}', not of '{asked}'")
        check_fits(self.preprocessing({"model": model}), self.datasets[asked], self.where(model))
        return self.store(asked, "test")

    def scored_store(self, wildcards: Any) -> list[str]:
        """Held-out images as `test_store` has them, whose labels are compared with a model's answers.

        Raises
        ------
        ValueError
            If the labels mean other classes than the model's.
        """
        model = _get(wildcards, "model")
        own = self.models[model]["dataset"]
        asked = _get(wildcards, "dataset", own)
        held_out = self.test_store(wildcards)
        if not classes.alike(self.datasets, asked, own):
            counts = [f"{self.datasets[name]['classes']} classes of '{name}'" for name in (asked, own)]
            raise ValueError(
                f"{self.where(model)}: answers with the {counts[1]}, but labels are the {counts[0]}: on these images "
                "models can be represented and compared, not scored"
            )
        return held_out

    def model_row(self, wildcards: Any) -> Row:
        """Row of models.tsv with the number of classes of its data set."""
        row = self.models[_get(wildcards, "model")]
        return row | {"classes": self.datasets[row["dataset"]]["classes"]}

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

    def recipe(self, wildcards: Any) -> Row:
        """Training recipe of a model, defaults filled in."""
        return self.recipes.get(self.models[_get(wildcards, "model")]["recipe"])

    def preprocessing(self, wildcards: Any) -> Row:
        """What of the recipe counts for a converted checkpoint: how images reach the network."""
        recipe = self.models[_get(wildcards, "model")]["recipe"]
        return {"input": self.recipes.get(recipe, trains=False)["input"]}

    def published_row(self, wildcards: Any) -> Row:
        """What of its row a data set that is handed on as one of TFDS says."""
        row = self.dataset_row(wildcards)
        return {key: row[key] for key in ("dataset", "classes", "home", "parent", "test")}

    # Attack

    def attack(self, wildcards: Any) -> Row:
        """Options of an attack, defaults filled in."""
        return self.attacks[_get(wildcards, "attack")]

    def attack_cells(self, datasets: list[str], attacks: list[str]) -> list[str]:
        """Every model whose answers these data sets score, under these entries of `attack.attacks`; none of sweeps."""
        return [
            f"results/attack/{dataset}/{model}/{attack}.parquet"
            for dataset in datasets
            for model in self.models
            if self.scores(model, dataset) and "sweep" not in self.models[model]
            for entry in attacks
            for attack in self.attack_grid(entry)
        ]

    def attack_grid(self, name: str) -> list[str]:
        """Attacks that an entry of `attack.attacks` stands for: itself, or the cells of its grid."""
        return [cell for cell, _ in of_grid(name, self.config["attack"]["attacks"][name])]

    def known_attack(self, name: str, where: str) -> None:
        """An unknown entry of `attack.attacks` is a ValueError."""
        self.known(name, self.config["attack"]["attacks"], "attack", where)

    def judges(self, wildcards: Any) -> list[str]:
        """Weights of the models that classify the perturbations of a data set's images.

        Raises
        ------
        ValueError
            If the configuration names none.
        """
        dataset, named = _get(wildcards, "dataset"), self.config["attack"]["perturbations"]["judges"]
        judges = [judge for judge in named if self.scores(judge, dataset)]
        if not judges:
            raise ValueError(
                f"configuration: attack.perturbations.judges names no model of '{dataset}': "
                "list those that are to classify the perturbations"
            )
        return [f"results/train/{judge}/weights.safetensors" for judge in judges]

    def ball(self, wildcards: Any) -> Row:
        """Norm and eps of an attack."""
        return {key: self.attack(wildcards)[key] for key in ("norm", "eps")}

    # Invert, represent

    def pair_store(self, wildcards: Any) -> list[str]:
        """Held-out images of a data set, among which seeds and targets of inversion are drawn."""
        return self.store(_get(wildcards, "dataset"), "test")

    @property
    def inversion(self) -> Row:
        """Options that decide what inversion finds."""
        return {key: value for key, value in self.config["invert"].items() if key not in ("images", "batch_size")}

    def image_set(self, wildcards: Any) -> list[str]:
        """Store and manifest of the images that a path names: natural, train, or inverted through a model.

        Raises
        ------
        ValueError
            If the model cannot be evaluated on them.
        """
        images, dataset, model = (_get(wildcards, key) for key in ("images", "dataset", "model"))
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
        return [f"results/invert/{dataset}/{source}.lmdb", f"results/invert/{dataset}/{source}.parquet"]

    def sample(self, wildcards: Any) -> int | None:
        """Images to represent: a sample of the held-out ones, all of other sets."""
        return self.config["represent"]["sample"] if _get(wildcards, "images") == "natural" else None

    def seed_of_sample(self, wildcards: Any) -> int | None:
        """The seed, where images are drawn or shuffled: a sample of held-out ones, and training images."""
        return self.config["seed"] if _get(wildcards, "images") in ("natural", "train") else None

    # Compare

    @property
    def seed_of_scores(self) -> int | None:
        """The seed, where something is drawn beside a score: permuted images, or independent features."""
        options = self.config["compare"]
        return self.config["seed"] if options["permutations"] or options["floor"] else None

    def represented(self, wildcards: Any) -> list[str]:
        """What the pairs of a cell, a model and those above it, are made of.

        On natural images the representation of each of them, its own first; on inverted images the folder with all.
        """
        dataset, images, model = (_get(wildcards, key) for key in ("dataset", "images", "model"))
        # A sentence for a model that cannot be evaluated on the data set.
        (self.scored_store if _get(wildcards, "groups") == "correctness" else self.test_store)(wildcards)
        where, above = f"results/represent/{dataset}", self.above(model)
        if images == "natural":
            return [f"{where}/natural/{name}.parquet" for name in (model, *above)]
        return [f"{where}/crossed/{model}"] if above else []

    def names_above(self, wildcards: Any) -> list[str]:
        """Models that the model of a cell is compared with."""
        return self.above(_get(wildcards, "model"))

    def measure(self, wildcards: Any) -> Row:
        """Method and options of a measure, defaults filled in."""
        return self.measures[_get(wildcards, "measure")]

    def pairs(self, wildcards: Any) -> Row:
        """What a cell of compared models carries as keys: threat and eps of all its models."""
        return self.pair_keys(_get(wildcards, "model"))

    def pair_keys(self, model: str) -> Row:
        """Norm and eps of a model, as keys of a table."""
        row = self.models[model]
        return {"norm": None if row["threat"] == "none" else row["threat"], "eps": row["eps"]}

    # Probe

    def classes(self, wildcards: Any) -> int:
        """Number of classes of a data set."""
        return self.datasets[_get(wildcards, "dataset")]["classes"]

    # Figures

    def cells(self, figure: Any) -> list[str]:
        """Files that the table of a figure, a name or wildcards, is made from; none if it is not configured."""
        options = self.config["figures"].get(_figure(figure))
        return FIGURES[_figure(figure)].cells(self, options) if options else []

    def beside(self, figure: Any) -> list[str]:
        """Other files that the table of a figure is made from: published values, images."""
        options = self.config["figures"].get(_figure(figure))
        return FIGURES[_figure(figure)].beside(self, options) if options else []

    def figure(self, figure: Any) -> Row:
        """Options of a figure, and what else its job is told; none if it is not configured."""
        options = self.config["figures"].get(_figure(figure), {})
        return options | FIGURES[_figure(figure)].told(self, options) if options else {}

    def seed_of_figure(self, figure: Any) -> int | None:
        """The seed, where the table of a figure draws: intervals over models, and tests."""
        return self.config["seed"] if FIGURES[_figure(figure)].draws else None

    @staticmethod
    def labels(wildcards: Any) -> dict[str, str]:
        """Label of a figure or its table in the report.

        One, and no more: of two labels and two figures, Snakemake's report makes a switch, and fails when it is used.
        """
        figure = _figure(wildcards)
        number = figure.removeprefix("fig")
        if number == figure:
            return {"shows": FIGURES[figure].shows}
        # The report sorts labels as text; U+2007 is a space as wide as a digit.
        return {"shows": f"{number.rjust(2, chr(0x2007))}  {FIGURES[figure].shows}"}

    @staticmethod
    def caption(wildcards: Any) -> str:
        """Caption of a figure or table in the report, in reStructuredText."""
        return (Path(__file__).parents[3] / "report" / f"{_figure(wildcards)}.rst").read_text(encoding="utf-8")

    @property
    def drawn(self) -> list[str]:
        """Figures that have a drawing."""
        return [figure for figure, about in FIGURES.items() if about.drawn]

    @property
    def tabulated(self) -> list[str]:
        """Figures and summary tables of the configuration."""
        return list(self.config["figures"])

    def published_numbers(self, sheet: str) -> list[Row]:
        """Rows of a sheet of published accuracies."""
        return list(schema.read_sheet(sheet, "published").values())


# Cells of a model's row that decide its weights or stand in their metadata.
_OF_WEIGHTS = ("model", "dataset", "arch", "classes", "threat", "eps", "seed", "recipe")


def _without_splits(row: Row) -> Row:
    """Cells of a row and of its parents, but for the names of splits: another split changes nothing of this one."""
    kept = {key: value for key, value in row.items() if key not in ("train", "test")}
    return kept | ({"parent_row": _without_splits(kept["parent_row"])} if "parent_row" in kept else {})


def _figure(asked: Any) -> str:
    return asked if isinstance(asked, str) else _get(asked, "figure")


def _get(wildcards: Any, name: str, default: str = "") -> str:
    return wildcards.get(name, default) if isinstance(wildcards, Mapping) else getattr(wildcards, name, default)
