"""What a plan is made from: configuration, sheets and recipes, checked against each other."""

import itertools
import os
from collections.abc import Mapping
from functools import cached_property
from math import isclose
from typing import Any

from mettle import schema
from mettle.files import in_file
from mettle.plan import attacks, classes, code, corrupted, dense, drift, hardened, headed, names, sources, zoo
from mettle.plan.recipes import Recipes, is_classifying_head, is_head, is_tokens, known
from mettle.plan.trained import check_fits
from mettle.typed import AttackOptions, DatasetRow, FeatureAttack, ModelRow, Recipe, TokensRecipe
from mettle.units import eps_text

Row = dict[str, Any]

# Names with another meaning: rows of means and of clean images in tables, folders of unfinished jobs.
_TAKEN = {"all", "natural", "activations", "attack", "corrupt", "cross", "download", "drift", "effectiveness", "invert"}
CLASSIFICATION = "classification"  # the task of models whose recipe names none
FEATURES = "features"  # the task of networks without a head
PICTURED = ("segmentation", "depth")  # tasks whose answers are pictures
PLAIN = (CLASSIFICATION, FEATURES)  # tasks whose models take images of one size, as classifiers do
# A sheet may state an eps of n/255 in six digits.
_ROUNDED = 1e-5


class Sheets:
    """The configuration, sheets and recipes, checked against each other.

    Parameters
    ----------
    config : the mapping read from config/config.yaml and its overlays

    Attributes
    ----------
    config : the same with defaults filled in
    results : folder of evaluations, tables and figures
    datasets, models, recipes : by name; models of sweeps come after those of the sheets
    left_out : sweeps with rows that do not fit the sheets, and what is wrong with them
    attacks, measures : options by name, cells of grids included
    corruption_sets : entries of `corrupt.corruptions` by name
    corruptions : their cells by name, with the corruptions of each
    drifts : entries of `drift.attacks` by name
    downloads : downloads of the rule `download`, by name of the file

    Raises
    ------
    ValueError
        One sentence that names the file and the key or row that is wrong.
    """

    known = staticmethod(known)

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = schema.check(dict(config), "config", "configuration")
        self.config["figures"] = self._shown()
        self.results = _folder(self.config["results"])
        self.datasets: dict[str, DatasetRow] = schema.read_sheet(self.config["datasets"], "datasets")
        self.plugins = code.Plugins(self.config["plugins"])
        self.recipes = Recipes(self.config["recipes"], self.config["sweeps"], self.plugins)
        self.models = self._read_models()
        self.attacks: dict[str, AttackOptions] = self._options("attack", "attacks")
        self.measures = self._options("compare", "measures")
        self.corruption_sets = corrupted.entries(self.config)
        self.corruptions = {
            cell: options
            for name, entry in self.corruption_sets.items()
            for cell, options in corrupted.cells(name, entry).items()
        }
        self.drifts: dict[str, FeatureAttack] = drift.entries(self.config)
        for block in ("effectiveness", "convergence"):
            steps = self.config["attack"][block]["steps"]
            if steps != sorted(set(steps)):
                raise ValueError(f"configuration: attack.{block}.steps must ascend, got {steps}")
        self._check_models()
        self._check_runs()
        for name in self.config["invert"]["lists"]:
            self.known(name, self.datasets, "data set", "configuration: invert.lists")
        for name, row in self.datasets.items():
            if row.get("parent"):
                self.known(row["parent"], self.datasets, "data set", f"{self.config['datasets']}, row '{name}', parent")
        sheet = self.config["datasets"]
        classes.check_parents(self.datasets, sheet)
        classes.check_targets(self.datasets, sheet)
        self.downloads = sources.parse_all(
            {f"{sheet}, row '{name}'": row for name, row in self.datasets.items()},
            {self.where(name): row for name, row in self.models.items()},
        )

    def _shown(self) -> Row:
        """The figures that count."""
        figures, shown = self.config["figures"], self.config["show"]
        for name in shown or ():
            self.known(name, figures, "figure", "configuration: show")
        return figures if shown is None else {name: figures[name] for name in shown}

    def _read_models(self) -> dict[str, ModelRow]:
        """Rows of all sheets, then those of the sweeps."""
        sheets = self.config["models"]
        self._sheet_of: dict[str, str] = {}
        models: dict[str, ModelRow] = {}
        for sheet in [sheets] if isinstance(sheets, str) else sheets:
            for name, row in schema.read_sheet(sheet, "models").items():
                if name in models:
                    raise ValueError(f"{sheet}, row '{name}': appears in {self._sheet_of[name]} too")
                models[name], self._sheet_of[name] = row, sheet
        for name, row in self.recipes.rows.items():
            if name in models:
                raise ValueError(f"{self._sheet_of[name]}, row '{name}': appears in sweep {row['sweep']} too")
        models |= self.recipes.rows
        for name, row in models.items():
            zoo.fill(row, self.datasets, where := self._where(row))
            if not row["arch"]:
                raise ValueError(f"{where}: column 'arch' is empty")
            row.setdefault("label", name)
        return models

    def where(self, model: str) -> str:
        """Sheet or sweep and row of a model, for messages."""
        return self._where(self.models[model])

    def _where(self, row: ModelRow) -> str:
        return f"{self._sheet_of.get(row['model'], 'sweep ' + row.get('sweep', ''))}, row '{row['model']}'"

    def published_as(self, model: str) -> str:
        """Name under which sheets of published numbers have a model."""
        return self.models[model].get("published", model)

    def recipe_of(self, model: str) -> Recipe | TokensRecipe:
        """The recipe of a model, or what its row states in place of one.

        That of tokens has task and input of the base, that of a head of classification its input.
        """
        row = self.models[model]
        own = self.recipes.of(row, self.where(model))
        if is_classifying_head(own):
            return own | {"task": CLASSIFICATION, "input": self.recipe_of(row["base"])["input"]}
        if not is_tokens(own):
            return own
        base = self.recipe_of(row["base"])
        return own | {key: base[key] for key in ("task", "input") if key in base}

    def task_of(self, model: str) -> str:
        """Task that a model is for."""
        return self.recipe_of(model).get("task", CLASSIFICATION)

    def has_tokens(self, model: str) -> bool:
        """Whether a row is one of robustness tokens."""
        recipe = self.models[model]["recipe"]
        return bool(recipe) and is_tokens(self.recipes.get(recipe, self.where(model), trains=False))

    def has_head(self, model: str) -> bool:
        """Whether a row is one of a head on the frozen network of its base."""
        recipe = self.models[model]["recipe"]
        return bool(recipe) and is_head(self.recipes.get(recipe, self.where(model), trains=False))

    def _options(self, block: str, kind: str) -> dict[str, Row]:
        """Attacks or measures by name, each checked against the closed schema of its method."""
        found = {}
        for entry, content in self.config[block][kind].items():
            for name, options in of_grid(entry, content):
                where = f"configuration: {block}.{kind}.{name}"
                method = options.get("method", name)
                self.known(method, schema.names(kind), "method", where)
                found[name] = schema.check({"method": method} | options, f"{kind}/{method}", where)
                if kind == "attacks":
                    attacks.check(found[name], where)
        return found

    @cached_property
    def _architectures(self) -> frozenset[str]:
        return names.known_architectures()

    def code_of(self, arch: str) -> list[str]:
        """Files of the user's own code that make an architecture: the one that it names, or plugins; none for most."""
        path, _ = in_file(arch)
        return [path] if path else [] if arch in self._architectures else self.plugins.naming(arch)

    def _check_models(self) -> None:
        """Raise ValueError for a row that is wrong; a sweep with one is left out, and what is wrong is kept.

        Your own sheets need not have the models and data sets of a sweep that is not asked for.
        """
        self.left_out: dict[str, str] = {}
        for name, row in self.models.items():
            try:
                self._check_model(name, row)
            except ValueError as error:
                if "sweep" not in row:
                    raise
                self.left_out.setdefault(row["sweep"], str(error))
        self.models = {name: row for name, row in self.models.items() if row.get("sweep") not in self.left_out}

    def _check_runs(self) -> None:
        """Raise ValueError if two models would share a run of the loggers."""
        template, seen = self.config["train"]["run"], {}
        for name, row in self.models.items():
            run = names.run(template, row)
            if run in seen:
                raise ValueError(
                    f"configuration: train.run: '{template}' is '{run}' for '{seen[run]}' and for '{name}': put "
                    "{model} into it, or more cells of the row"
                )
            seen[run] = name

    def _check_model(self, name: str, row: ModelRow) -> None:
        where = self.where(name)
        if name in _TAKEN:
            raise ValueError(f"{where}: the name '{name}' is taken: choose another")
        self.known(row["dataset"], self.datasets, "data set", where)
        self._check_arch(row["arch"], where)
        self._check_base(name)
        _check_transfer(row, where)
        _fill_seed(row, where)
        recipe = self.recipes.of(row, where)
        if is_tokens(recipe):
            base = self.models.get(row.get("base", ""))
            hardened.check_row(row, base, bool(base) and self.has_tokens(base["model"]), where)
            self._check_network(base["model"], "tokens are", where)
            self._fill_ball(row, recipe, where)
            return
        if is_head(recipe):
            headed.check_row(row, self.models.get(row.get("base", "")), where)
            self._check_network(row["base"], "a head is", where)
            recipe = self.recipe_of(name)
        if "mix" in recipe:
            mixed, in_recipe = recipe["mix"]["dataset"], f"recipe '{row['recipe']}'"
            self._check_mix(row, mixed, f"{in_recipe}: mix.dataset")
            if not recipe["augment"]["random_resized_crop"]:
                check_fits(recipe, self.datasets[mixed], in_recipe)
        by = f", recipe '{row['recipe']}'" if row["recipe"] else ""
        dataset, task = self.datasets[row["dataset"]], recipe.get("task", CLASSIFICATION)
        if task != FEATURES:
            dense.check_task(task, dataset, f"{where}{by}")
        (check_fits if task in PLAIN else dense.check_fits)(recipe, dataset, f"{where}{by}")
        if task not in PLAIN:
            dense.check_levels(recipe, f"{where}{by}")
            dense.check_base(row, self.models.get(row.get("base", "")), where)
        self._fill_ball(row, recipe, where)

    def _check_network(self, base: str, what: str, where: str) -> None:
        """Raise ValueError unless a base has a network of its own that tokens or a head can be for."""
        if self.has_head(base):
            below = self.models[base]["base"]
            raise ValueError(f"{where}: the base '{base}' is a head, but {what} for a network: name '{below}'")
        network = self.models[base]["base"] if self.has_tokens(base) else base
        if (task := self.task_of(base)) not in PLAIN and "linear" not in self.recipes.of(self.models[network]):
            raise ValueError(f"{where}: the base '{base}' is a model of {task}: {what} for its backbone")

    def _check_arch(self, arch: str, where: str) -> None:
        """Raise ValueError for an architecture that nobody registers, or that its file does not have."""
        if in_file(arch)[0]:
            code.check(arch, where)
        elif (arches := self._architectures) and arch not in arches and not self.code_of(arch):
            meant = schema.suggest(arch, arches) or f"; one of your own is written path/to/net.py:{arch}"
            raise ValueError(f"{where}: unknown architecture '{arch}'{meant}")

    def _fill_ball(self, row: ModelRow, recipe: Recipe, where: str) -> None:
        """Fill in threat and eps from the recipe; raise ValueError if the row states others."""
        if is_head(recipe):
            recipe = self.recipe_of(row["base"])
        attack = recipe.get("attack") or {"norm": "none", "eps": 0}
        row.setdefault("threat", attack["norm"])
        row.setdefault("eps", float(attack["eps"]))
        if attack["norm"] != row["threat"] or not isclose(attack["eps"], row["eps"], rel_tol=_ROUNDED):
            raise ValueError(
                f"{where}: threat and eps are {row['threat']} {eps_text(row['eps'])}, "
                f"but recipe '{row['recipe']}' trains with {attack['norm']} {eps_text(attack['eps'])}"
            )
        if row["eps"] != attack["eps"]:
            row["eps"] = attack["eps"]  # models are grouped by it, to the last digit

    def _check_base(self, name: str) -> None:
        """Raise ValueError for a base that is unknown, or that is based on the model itself."""
        line = [name]
        while base := self.models[line[-1]].get("base"):
            self.known(base, self.models, "model", f"{self.where(line[-1])}, column base")
            if base in line:
                raise ValueError(f"{self.where(name)}, column base: leads back to itself, {' -> '.join([*line, base])}")
            line.append(base)

    def _check_mix(self, row: ModelRow, mixed: str, where: str) -> None:
        """Raise ValueError for a data set that is unknown, or cannot have the classes of the model's own."""
        self.known(mixed, self.datasets, "data set", where)
        if not classes.alike(self.datasets, row["dataset"], mixed):
            few, many = (self.datasets[name]["classes"] for name in (mixed, row["dataset"]))
            raise ValueError(f"{where}: '{mixed}' has {few} classes, '{row['dataset']}' of the model has {many}")


def _check_transfer(row: ModelRow, where: str) -> None:
    """Raise ValueError for a way to use weights of a base in a row without one, or in one that is not trained."""
    if "transfer" in row and not row.get("base"):
        raise ValueError(
            f"{where}: column transfer is '{row['transfer']}', but column base is empty: name the row whose weights "
            "training starts from, or leave both empty"
        )
    if "transfer" in row and row["source"] != "train":
        raise ValueError(
            f"{where}: column transfer is '{row['transfer']}', but nothing is trained, since source is "
            f"'{row['source']}': leave it empty"
        )


def _fill_seed(row: Row, where: str) -> None:
    """Fill in the seed of a checkpoint, which draws nothing; raise ValueError for a training without seed or recipe."""
    if row["source"] != "train":
        row.setdefault("seed", 0)
    elif empty := [key for key in ("recipe", "seed") if row.get(key, "") == ""]:
        raise ValueError(f"{where}: column {empty[0]} is empty: a model is trained by a recipe, from a seed")


def _folder(results: str) -> str:
    """The normalised folder of results; ValueError for one elsewhere, or among stores and weights."""
    path = os.path.normpath(results)
    if path == "." or path.startswith(("..", *(f"results/{stage}" for stage in names.SHARED_STAGES))):
        raise ValueError(f"configuration: results: '{results}' must be a folder of its own, as `results/mine`")
    return path


def of_grid(name: str, content: Row) -> list[tuple[str, Row]]:
    """Name and options of the cells of an entry with a `grid` of options, or of the entry itself.

    Names have the options of a grid in alphabetical order, since several configurations have none of their own.
    """
    options = {key: value for key, value in content.items() if key != "grid"}
    grid = dict(sorted(content.get("grid", {}).items()))
    found = []
    for values in itertools.product(*grid.values()):
        cell = dict(zip(grid, values, strict=True))
        found.append(("_".join([name, *(names.label(key, value) for key, value in cell.items())]), options | cell))
    return found
