"""
From configuration to files: which models, cells and figures exist, and what each job is told.

Imports neither torch nor snakemake, so that a dry run is quick and everything here is tested by itself. Methods
with a `wildcards` argument are input and params functions of rules; any object or mapping with the wildcards'
names will do.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib import util
from pathlib import Path
from typing import Any

from mettle import schema

Row = dict[str, Any]


class Plan:
    """The configuration, sheets and recipes, checked against each other.

    Parameters
    ----------
    config : the mapping read from config/config.yaml and its overlays

    Raises
    ------
    ValueError
        One sentence that names the file and the key or row that is wrong.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = schema.check(dict(config), "config", "configuration")
        self.datasets = schema.read_sheet(self.config["datasets"], "datasets")
        self.models = schema.read_sheet(self.config["models"], "models")
        self.attacks = self._options("attack", "attacks")
        self.measures = self._options("compare", "measures")
        for name, row in self.models.items():
            self._check_model(name, row, f"{self.config['models']}, row '{name}'")
        for name, attack in self.attacks.items():
            for dataset in attack["datasets"]:
                self._known(dataset, self.datasets, "data set", f"configuration: attack.attacks.{name}.datasets")
        self._check_figures()

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
        return sorted({row[key] for row in self.datasets.values() for key in ("train", "test")})

    def models_of(self, dataset: str) -> list[str]:
        """Models of a data set, in the order of the sheet."""
        return [name for name, row in self.models.items() if row["dataset"] == dataset]

    def above(self, model: str) -> list[str]:
        """Models that a model is compared with: those above it in the sheet with its data set, threat and eps.

        Each unordered pair is thus made once, and a model added at the end of the sheet costs one cell.
        """
        row = self.models[model]
        names = list(self.models)
        return [
            name
            for name in names[: names.index(model)]
            if all(self.models[name][key] == row[key] for key in ("dataset", "threat", "eps"))
        ]

    def targets(self) -> list[str]:
        """Everything that the configuration asks for."""
        return [path for figure in self.config["figures"] for path in self.files_of(figure)]

    def files_of(self, figure: str) -> list[str]:
        """The table of a figure, and its drawing where it has one."""
        drawing = [] if figure == "accuracy" else [f"results/figures/{figure}.pdf"]
        return [*drawing, f"results/tables/{figure}.parquet"]

    @staticmethod
    def pattern(names: Iterable[str]) -> str:
        """Regular expression that matches these names and no others."""
        return "|".join(map(re.escape, sorted(names))) or "(?!)"

    # Prep, train

    def store(self, dataset: str, key: str) -> list[str]:
        """Store and manifest of the `train` or `test` split of a data set."""
        split = self.datasets[dataset][key]
        return [f"results/prep/{dataset}/{split}.lmdb", f"results/prep/{dataset}/{split}.parquet"]

    def dataset_row(self, wildcards: Any) -> Row:
        """Row of datasets.tsv."""
        return self.datasets[_get(wildcards, "dataset")]

    def train_store(self, wildcards: Any) -> list[str]:
        """Training images of a model."""
        return self.store(self.models[_get(wildcards, "model")]["dataset"], "train")

    def test_store(self, wildcards: Any) -> list[str]:
        """Held-out images of a model's data set.

        Raises
        ------
        ValueError
            If the path names another data set than the model's row.
        """
        model = _get(wildcards, "model")
        dataset = self.models[model]["dataset"]
        asked = _get(wildcards, "dataset", dataset)
        if asked != dataset:
            raise ValueError(f"{self.config['models']}, row '{model}': is a model of '{dataset}', not of '{asked}'")
        return self.store(dataset, "test")

    def model_row(self, wildcards: Any) -> Row:
        """Row of models.tsv with the number of classes of its data set."""
        row = self.models[_get(wildcards, "model")]
        return row | {"classes": self.datasets[row["dataset"]]["classes"]}

    def recipe(self, wildcards: Any) -> Row:
        """Training recipe of a model, defaults filled in."""
        return self._recipe(self.models[_get(wildcards, "model")]["recipe"])

    # Attack

    def attack(self, wildcards: Any) -> Row:
        """Options of an attack, defaults filled in."""
        return self.attacks[_get(wildcards, "attack")]

    def attack_cells(self, datasets: list[str]) -> list[str]:
        """Every model of these data sets under every attack that is meant for them."""
        return [
            f"results/attack/{dataset}/{model}/{attack}.parquet"
            for dataset in datasets
            for model in self.models_of(dataset)
            for attack, options in self.attacks.items()
            if dataset in options["datasets"]
        ]

    # Represent, compare

    def represented(self, wildcards: Any) -> list[str]:
        """Representations of the models that a model is compared with."""
        where = f"results/represent/{_get(wildcards, 'dataset')}/{_get(wildcards, 'images')}"
        return [f"{where}/{name}.parquet" for name in self.above(_get(wildcards, "model"))]

    def measure(self, wildcards: Any) -> Row:
        """Method and options of a measure, defaults filled in."""
        return self.measures[_get(wildcards, "measure")]

    def pairs(self, wildcards: Any) -> Row:
        """What a cell of compared models carries as keys: threat and eps of all its models."""
        row = self.models[_get(wildcards, "model")]
        return {"norm": None if row["threat"] == "none" else row["threat"], "eps": row["eps"]}

    # Figures

    def accuracy_cells(self, wildcards: Any = None) -> list[str]:
        """Attack cells of the accuracy table."""
        return self.attack_cells(self.config["figures"].get("accuracy", {}).get("datasets", []))

    def fig5_models(self) -> list[str]:
        """Models that figure 5 shows; none where the configuration has no figure 5."""
        figure = self.config["figures"].get("fig5")
        if figure is None:
            return []
        names = figure.get("models") or self.models_of(figure["dataset"])
        return [name for name in names if self._shown(name, figure)]

    def fig5_cells(self, wildcards: Any = None) -> list[str]:
        """Subgroup cells of figure 5: those of models with at least one model above them."""
        figure = self.config["figures"].get("fig5", {})
        return [
            f"results/subgroups/{figure['dataset']}/natural/{measure}/{model}.parquet"
            for measure in figure.get("measures", [])
            for model in self.fig5_models()
            if self.above(model)
        ]

    def _shown(self, model: str, figure: Row) -> bool:
        row = self.models[model]
        return row["eps"] in figure["eps"] and row["threat"] in ("none", figure["threat"])

    # Checks

    def _options(self, block: str, kind: str) -> dict[str, Row]:
        """Attacks or measures by name, each checked against the closed schema of its method."""
        found = {}
        for name, options in self.config[block][kind].items():
            where = f"configuration: {block}.{kind}.{name}"
            method = options.get("method", name)
            self._known(method, schema.load(kind)["$defs"], "method", where)
            found[name] = schema.check({"method": method} | options, f"{kind}/{method}", where)
        return found

    @cached_property
    def _architectures(self) -> frozenset[str]:
        return known_architectures()

    def _check_model(self, name: str, row: Row, where: str) -> None:
        if name != f"{row['arch']}-{row['recipe']}-s{row['seed']}":
            expected = f"{row['arch']}-{row['recipe']}-s{row['seed']}"
            raise ValueError(f"{where}: the name must be arch-recipe-sSEED of the row, that is '{expected}'")
        self._known(row["dataset"], self.datasets, "data set", where)
        if (row["threat"] == "none") != (row["eps"] == 0):
            raise ValueError(f"{where}: threat '{row['threat']}' does not go with eps {row['eps']:g}")
        if (arches := self._architectures) and row["arch"] not in arches:
            raise ValueError(f"{where}: unknown architecture '{row['arch']}'{schema.suggest(row['arch'], arches)}")
        attack = self._recipe(row["recipe"], where).get("attack") or {"norm": "none", "eps": 0}
        if (attack["norm"], attack["eps"]) != (row["threat"], row["eps"]):
            raise ValueError(
                f"{where}: threat and eps are {row['threat']} {row['eps']:g}, "
                f"but recipe '{row['recipe']}' trains with {attack['norm']} {attack['eps']:g}"
            )

    def _check_figures(self) -> None:
        figures = self.config["figures"]
        for dataset in figures.get("accuracy", {}).get("datasets", []):
            self._known(dataset, self.datasets, "data set", "configuration: figures.accuracy.datasets")
        if "fig5" not in figures:
            return
        where, figure = "configuration: figures.fig5", figures["fig5"]
        self._known(figure["dataset"], self.datasets, "data set", f"{where}.dataset")
        for measure in figure["measures"]:
            self._known(measure, self.measures, "measure", f"{where}.measures")
        for model in figure.get("models", []):
            self._known(model, self.models, "model", f"{where}.models")
            if self.models[model]["dataset"] != figure["dataset"]:
                raise ValueError(f"{where}.models: '{model}' is not a model of '{figure['dataset']}'")
        for eps in figure["eps"]:
            if sum(self.models[name]["eps"] == eps for name in self.fig5_models()) < 2:
                raise ValueError(
                    f"{where}.eps: {eps:g} needs two models of '{figure['dataset']}' in the sheet, or more"
                )

    def _recipe(self, name: str, where: str = "") -> Row:
        folder = Path(self.config["recipes"])
        known = [path.stem for path in folder.glob("*.yaml")]
        self._known(name, known, "recipe", where or str(folder))
        recipe = schema.check(_inherit(folder, name), "recipe", str(folder / f"{name}.yaml"))
        if (recipe["loss"] == "adversarial") != ("attack" in recipe):
            raise ValueError(f"{folder / name}.yaml: loss '{recipe['loss']}' needs {_NEEDS[recipe['loss']]}")
        return recipe

    def _known(self, name: str, known: Any, kind: str, where: str) -> None:
        if name not in known:
            raise ValueError(f"{where}: unknown {kind} '{name}'{schema.suggest(name, known)}")


_NEEDS = {"adversarial": "an `attack` block", "standard": "no `attack` block"}


def known_architectures() -> frozenset[str]:
    """Names of our architectures and of timm's, read off the sources: importing timm takes seconds.

    Empty when timm is not installed beside Snakemake; the job then says whether the name is known.
    """
    ours = Path(__file__).parent / "models" / "architectures.py"
    spec = util.find_spec("timm")
    if spec is None or spec.origin is None:
        return frozenset()
    names = set(re.findall(r'^    "(\w+)": Architecture\(', ours.read_text(encoding="utf-8"), re.MULTILINE))
    for path in (Path(spec.origin).parent / "models").glob("*.py"):
        names.update(re.findall(r"^@register_model\s+def (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    return frozenset(names)


def _inherit(folder: Path, name: str, seen: tuple[str, ...] = ()) -> Row:
    """A recipe with the keys of the one it extends; nested blocks are merged."""
    if name in seen:
        raise ValueError(f"{folder / name}.yaml: extends itself by way of {' -> '.join(seen)}")
    own = schema.read_yaml(folder / f"{name}.yaml")
    base = _inherit(folder, own.pop("extends"), (*seen, name)) if "extends" in own else {}
    return _merge(base, own)


def _merge(base: Row, own: Row) -> Row:
    merged = dict(base)
    for key, value in own.items():
        merged[key] = _merge(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return merged


def _get(wildcards: Any, name: str, default: str = "") -> str:
    return wildcards.get(name, default) if isinstance(wildcards, Mapping) else getattr(wildcards, name, default)
