"""Training recipes, files that extend each other, and sweeps: grids of recipes, each a model of its own."""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mettle import files, schema
from mettle.plan import code, hardened, headed, names
from mettle.plan.idle import Layers, at, merge, merged
from mettle.plan.trained import check_covers, check_training, with_prime
from mettle.typed import Input, ModelRow, Recipe
from mettle.units import eps_text

Row = dict[str, Any]

TOKENS = "tokens"  # kind of the recipes of robustness tokens; those of kind train need not say so
HEAD = "head"  # kind of the recipes of heads on frozen networks
# Columns by which the row of a checkpoint says itself how images reach the network.
PREPROCESSING = ("size", "resize", "interpolation", "mean", "std")


class Recipes:
    """Recipes of a folder, and those that its sweeps expand to.

    Parameters
    ----------
    folder : with one file per recipe, and one per sweep in `sweeps/`
    sweeps : names of the sweeps to expand
    plugins : files that may register losses
    """

    def __init__(self, folder: str | Path, sweeps: Iterable[str] = (), plugins: code.Plugins | None = None) -> None:
        self.folder, self.plugins = Path(folder), plugins or code.Plugins(())
        self._files = files.stems(self.folder, ".yaml")
        self.rows: dict[str, ModelRow] = {}  # of the sweeps' models, as those of a sheet
        self.cells: dict[str, Row] = {}  # of the sweeps' recipes, what each takes of its grid
        self._grown: dict[str, Layers] = {}  # the sweeps' recipes as written, each on its base
        self._found: dict[str, tuple[Recipe, Layers]] = {}  # with defaults, and as written
        self._fit: set[str] = set()  # to train by
        self._stated: dict[str, Row] = {}  # by model, of rows that name no recipe
        for sweep in sweeps:
            self._expand(sweep)

    def get(self, name: str, where: str = "", *, trains: bool = True) -> Recipe:
        """A recipe with defaults filled in.

        Parameters
        ----------
        name : name of its file, or of one that a sweep made
        where : who asks, for the message
        trains : whether it is trained by; for a converted checkpoint `input` is enough, with norm and eps under
            `attack` if the model is robust

        Raises
        ------
        ValueError
            If there is none of this name, or it is wrong.
        """
        if name not in self._found:
            known(name, [*self._files, *self._grown], "recipe", where or str(self.folder))
            layers = self._grown.get(name) or _inherit(self.folder, name)
            self._found[name] = self._checked(layers), layers
        recipe, layers = self._found[name]
        if trains and name not in self._fit:
            _check_of(recipe)(recipe, layers)
            self._fit.add(name)
        return recipe

    def of(self, row: ModelRow, where: str = "") -> Recipe:
        """The recipe of a model's row, or what the row of a checkpoint states in its place.

        Parameters
        ----------
        row : of a sheet, or of a sweep
        where : sheet and row, for the message

        Raises
        ------
        ValueError
            If there is no such recipe, it is wrong, or the row states too little or too much.
        """
        stated = {key: row[key] for key in PREPROCESSING if key in row}
        if row["recipe"] and stated:
            raise ValueError(
                f"{where}: column {next(iter(stated))} is for checkpoints without recipe, but the row names recipe "
                f"'{row['recipe']}': leave one of the two empty"
            )
        if row["recipe"] and row.get("task"):
            raise ValueError(
                f"{where}: column task is for checkpoints without recipe, but the row names recipe '{row['recipe']}': "
                "leave one of the two empty"
            )
        if row["recipe"]:
            recipe = self.get(row["recipe"], where, trains=row["source"] == "train")
            return with_prime(recipe, where) if row.get("transfer") == "full_prime" else recipe
        if row["model"] not in self._stated:
            task = {"task": row["task"]} if row.get("task") else {}
            self._stated[row["model"]] = {"input": _preprocessing(stated, where)} | _ball(row, where) | task
        return self._stated[row["model"]]

    def _checked(self, layers: Layers) -> Recipe:
        """A recipe with defaults."""
        where, written = layers[-1][0], merged(layers)
        if is_tokens(written):
            return schema.check(written, "tokens", where)
        if is_classifying_head(written):
            return schema.check(written, "head", where)
        recipe = schema.check(written, "recipe", where)
        if not self.plugins.naming(recipe["loss"]):
            known(recipe["loss"], schema.names("recipe.loss"), "loss", where)
        check_covers(recipe["input"], where, "input.")
        headed.check_linear(recipe, written, where)
        return recipe

    def _expand(self, sweep: str) -> None:
        """Every cell of a sweep's grid, as a recipe and as rows of models."""
        folder = self.folder / "sweeps"
        known(sweep, files.stems(folder, ".yaml"), "sweep", "configuration: sweeps")
        where = str(folder / f"{sweep}.yaml")
        grid = schema.check(schema.read_yaml(where), "sweep", where)
        known(grid["base"], self._files, "recipe", f"{where}: base")
        base = [*_inherit(self.folder, grid["base"]), (f"{where}: set", _nested(grid["set"]))]
        for values in itertools.product(*grid["grid"].values()):
            cell = dict(zip(grid["grid"], values, strict=True))
            name = "_".join([sweep, *(names.label(key, value) for key, value in cell.items())])
            self._grown[name] = [*base, (f"{where}, cell '{name}'", _nested(cell))]
            self.cells[name] = {key: at(self.get(name), key, value) for key, value in cell.items()}
            varied = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in cell.items())
            attack = self.get(name).get("attack", {"norm": "none", "eps": 0})
            for seed in grid["seeds"]:
                row = {"dataset": grid["dataset"], "arch": grid["arch"], "recipe": name, "seed": seed}
                row |= {"threat": attack["norm"], "eps": attack["eps"], "source": "train", "base": grid["finetune"]}
                model = f"{files.in_file(grid['arch'])[1]}-{name}-s{seed}"
                self.rows[model] = {"model": model, "sweep": sweep, "cell": varied} | row


def is_tokens(recipe: Row) -> bool:
    """Whether a recipe is one of robustness tokens."""
    return recipe.get("kind") == TOKENS


def is_head(recipe: Row) -> bool:
    """Whether a recipe is one of a head on a frozen network, of any task."""
    return recipe.get("kind") == HEAD


def is_classifying_head(recipe: Row) -> bool:
    """Whether it is one of a head of classification."""
    return is_head(recipe) and recipe.get("task", "classification") == "classification"


def _check_of(recipe: Row) -> Callable[[Row, Layers], None]:
    """The check of a recipe of its kind that is trained by."""
    if is_tokens(recipe):
        return hardened.check_recipe
    return headed.check_recipe if is_classifying_head(recipe) else check_training


def _preprocessing(stated: Row, where: str) -> Input:
    """How images reach the network, as the row of a checkpoint states it."""
    if empty := [key for key in schema.load("preprocessing")["required"] if key not in stated]:
        raise ValueError(
            f"{where}: column {empty[0]} is empty: state size, mean and std (pixels are in [0, 1]) with which the "
            "network was trained, or name a recipe that does"
        )
    shape = schema.check(stated, "preprocessing", where)
    check_covers(shape, where)
    return shape


def _ball(row: ModelRow, where: str) -> Row:
    """What a checkpoint was trained against, as its row states it: a block `attack`, or none."""
    norm, eps = row.get("threat", "none"), row.get("eps", 0)
    if (norm == "none") != (eps == 0):
        raise ValueError(
            f"{where}: threat and eps are {norm} {eps_text(eps)}: state norm and radius of the attack that the "
            "checkpoint was trained against, or leave both empty"
        )
    return {"attack": {"norm": norm, "eps": eps}} if eps else {}


def _nested(dotted: Row) -> Row:
    """Keys with points as nested mappings: {"a.b": 1} to {"a": {"b": 1}}."""
    nested: Row = {}
    for key, value in dotted.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        nested = merge(nested, value)
    return nested


def _inherit(folder: Path, name: str, seen: tuple[str, ...] = ()) -> Layers:
    """The keys of a recipe's file, after those of the one that it extends."""
    where = f"{folder / name}.yaml"
    if name in seen:
        raise ValueError(f"{where}: extends itself through {' -> '.join(seen)}")
    own = schema.read_yaml(where)
    if "extends" not in own:
        return [(where, own)]
    base = own.pop("extends")
    if base not in (name, *seen):
        known(base, files.stems(folder, ".yaml"), "recipe", f"{where}: extends")
    return [*_inherit(folder, base, (*seen, name)), (where, own)]


def known(name: str, names: Any, kind: str, where: str) -> None:
    """Raise ValueError with a suggestion for a name that is not among these."""
    if name not in names:
        raise ValueError(f"{where}: unknown {kind} '{name}'{schema.suggest(name, names)}")
