"""The plan: the answers that rules ask of configuration, sheets and recipes."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from mettle import schema
from mettle.plan import classes, names, sources
from mettle.plan.figures import FIGURES
from mettle.plan.sheets import Row, Sheets, of_grid


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

    def download(self, wildcards: Any) -> Row:
        """Address, SHA-256 and row of a download."""
        return self.downloads[_get(wildcards, "file")]

    def dataset_source(self, wildcards: Any) -> list[str]:
        """The download that a data set is read from, if it is one."""
        return sources.needed(self.dataset_row(wildcards)["source"])

    def model_source(self, wildcards: Any) -> list[str]:
        """The download that a checkpoint is read from, if it is one."""
        return sources.needed(self.model_row(wildcards)["source"])

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
            If the path names a data set that the model cannot be evaluated on.
        """
        model = _get(wildcards, "model")
        dataset = self.models[model]["dataset"]
        asked = _get(wildcards, "dataset", dataset)
        if asked not in self.datasets or not self.fits(model, asked):
            raise ValueError(f"{self.where(model)}: is a model of '{dataset}', not of '{asked}'")
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

    def recipe(self, wildcards: Any) -> Row:
        """Training recipe of a model, defaults filled in."""
        return self.recipes.get(self.models[_get(wildcards, "model")]["recipe"])

    # Attack

    def attack(self, wildcards: Any) -> Row:
        """Options of an attack, defaults filled in."""
        return self.attacks[_get(wildcards, "attack")]

    def attack_cells(self, datasets: list[str], attacks: list[str]) -> list[str]:
        """Every model of these data sets, but those of sweeps, under each of these entries of `attack.attacks`."""
        return [
            f"results/attack/{dataset}/{model}/{attack}.parquet"
            for dataset in datasets
            for model in self.models
            if self.fits(model, dataset) and "sweep" not in self.models[model]
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
        judges = [judge for judge in named if self.fits(judge, dataset)]
        if not judges:
            raise ValueError(
                f"configuration: attack.perturbations.judges names no model of '{dataset}': "
                "list those that are to classify the perturbations"
            )
        return [f"results/train/{judge}/weights.safetensors" for judge in judges]

    # Invert, represent

    def pair_store(self, wildcards: Any) -> list[str]:
        """Held-out images of a data set, among which seeds and targets of inversion are drawn."""
        return self.store(_get(wildcards, "dataset"), "test")

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
            raise ValueError(f"{self.where(source)}: is no model of '{dataset}', '{model}' cannot see its images")
        return [f"results/invert/{dataset}/{source}.lmdb", f"results/invert/{dataset}/{source}.parquet"]

    def sample(self, wildcards: Any) -> int | None:
        """Images to represent: a sample of the held-out ones, all of other sets."""
        return self.config["represent"]["sample"] if _get(wildcards, "images") == "natural" else None

    # Compare

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


def _figure(asked: Any) -> str:
    return asked if isinstance(asked, str) else _get(asked, "figure")


def _get(wildcards: Any, name: str, default: str = "") -> str:
    return wildcards.get(name, default) if isinstance(wildcards, Mapping) else getattr(wildcards, name, default)
