"""Training recipes, files that extend each other, and sweeps: grids of recipes, each a model of its own."""

import itertools
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from mettle import files, schema
from mettle.plan import names

Row = dict[str, Any]


class Recipes:
    """Recipes of a folder, and those that its sweeps expand to.

    Parameters
    ----------
    folder : with one file per recipe, and one per sweep in `sweeps/`
    sweeps : names of the sweeps to expand
    """

    def __init__(self, folder: str | Path, sweeps: Iterable[str] = ()) -> None:
        self.folder = Path(folder)
        self._files = files.stems(self.folder, ".yaml")
        self.rows: dict[str, Row] = {}  # of the sweeps, in the form of models.tsv
        self.cells: dict[str, Row] = {}  # of the sweeps' recipes, what each takes of its grid
        self._grown: dict[str, tuple[Row, str]] = {}  # as written, and where
        self._found: dict[str, tuple[Row, str]] = {}  # with defaults, and where
        for sweep in sweeps:
            self._expand(sweep)

    def get(self, name: str, where: str = "", *, trains: bool = True) -> Row:
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
            self._found[name] = self._read(name, where)
        recipe, file = self._found[name]
        if trains:
            _check_training(recipe, file)
        return recipe

    def _read(self, name: str, where: str) -> tuple[Row, str]:
        if name not in self._grown:
            known(name, [*self._files, *self._grown], "recipe", where or str(self.folder))
            return self._checked(_inherit(self.folder, name), str(self.folder / f"{name}.yaml"))
        return self._checked(*self._grown[name])

    def _checked(self, recipe: Row, where: str) -> tuple[Row, str]:
        """A recipe with defaults, and where it was written."""
        recipe = schema.check(recipe, "recipe", where)
        known(recipe["loss"], _losses(), "loss", where)
        shape = recipe["input"]
        if shape["resize"] is not None and shape["resize"] < shape["size"]:
            raise ValueError(
                f"{where}: input.resize is {shape['resize']}, less than input.size {shape['size']}: images would get a "
                f"black border; set it to {shape['size']} or more"
            )
        return recipe, where

    def _expand(self, sweep: str) -> None:
        """Every cell of a sweep's grid, as a recipe and as rows of models."""
        folder = self.folder / "sweeps"
        known(sweep, files.stems(folder, ".yaml"), "sweep", "configuration: sweeps")
        where = str(folder / f"{sweep}.yaml")
        grid = schema.check(schema.read_yaml(where), "sweep", where)
        known(grid["base"], self._files, "recipe", f"{where}: base")
        base = _merge(_inherit(self.folder, grid["base"]), _nested(grid["set"]))
        for values in itertools.product(*grid["grid"].values()):
            cell = dict(zip(grid["grid"], values, strict=True))
            name = "_".join([sweep, *(names.label(key, value) for key, value in cell.items())])
            self._grown[name] = (_merge(base, _nested(cell)), f"{where}, cell '{name}'")
            self.cells[name] = {key: _at(self.get(name), key, value) for key, value in cell.items()}
            varied = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in cell.items())
            attack = self.get(name).get("attack", {"norm": "none", "eps": 0})
            for seed in grid["seeds"]:
                row = {"dataset": grid["dataset"], "arch": grid["arch"], "recipe": name, "seed": seed}
                row |= {"threat": attack["norm"], "eps": attack["eps"], "source": "train", "base": grid["finetune"]}
                model = f"{grid['arch']}-{name}-s{seed}"
                self.rows[model] = {"model": model, "sweep": sweep, "cell": varied} | row


def check_fits(recipe: Row, dataset: Row, where: str) -> None:
    """Raise ValueError for images that a recipe takes as they are, but of another size than its input."""
    size, stored = recipe["input"]["size"], dataset["size"]
    if stored and stored != size and recipe["input"]["resize"] is None:
        raise ValueError(
            f"{where}: images of '{dataset['dataset']}' have {stored} pixels a side, but input.size is {size}: set "
            "input.resize of the recipe"
        )


def check_epochs(recipe: Row) -> None:
    """Raise ValueError if a recipe keeps weights of epochs that it has not, or chooses by what it never measures."""
    epochs = recipe["epochs"] + recipe["schedule"]["cooldown_epochs"]
    if late := [epoch for epoch in recipe["checkpoints"] if epoch >= epochs]:
        raise ValueError(f"checkpoints: epochs {late} are never reached, the last of {epochs} is {epochs - 1}")
    validation = recipe["validation"]
    if validation["select"] == "best" and "attack" in recipe and not 0 < validation["every"] <= epochs:
        raise ValueError(
            f"validation.select is 'best', but validation.every {validation['every']} measures none of {epochs} epochs"
        )


# What training takes from a recipe and a converted checkpoint does not need.
_TRAINING = ("epochs", "batch_size", "optimizer", "schedule")
_NEEDS = {
    "adversarial": (True, "an `attack` block"),
    "trades": (True, "an `attack` block"),
    "standard": (False, "no `attack` block"),
    "bce": (False, "no `attack` block"),
}


def _check_training(recipe: Row, where: str) -> None:
    """Raise ValueError for a recipe that nothing can be trained by."""
    lacking = [key for key in _TRAINING if key not in recipe]
    lacking += ["attack.steps"] if "attack" in recipe and "steps" not in recipe["attack"] else []
    if lacking:
        raise ValueError(f"{where}: key '{lacking[0]}' is missing: a recipe without is for converted checkpoints only")
    loss, attack = recipe["loss"], recipe.get("attack")
    if loss in _NEEDS and _NEEDS[loss][0] != (attack is not None):
        raise ValueError(f"{where}: loss '{loss}' needs {_NEEDS[loss][1]}")
    if loss == "trades" and attack["target"] != "none":
        raise ValueError(
            f"{where}: attack.target is '{attack['target']}', but the attack of 'trades' goes by the divergence from "
            "the clean answer, not by classes: set it to 'none'"
        )
    try:
        check_epochs(recipe)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


@cache
def _losses() -> frozenset[str]:
    return names.known_losses()


def _nested(dotted: Row) -> Row:
    """Keys with points as nested mappings: {"a.b": 1} to {"a": {"b": 1}}."""
    nested: Row = {}
    for key, value in dotted.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        nested = _merge(nested, value)
    return nested


def _at(recipe: Row, key: str, default: Any) -> Any:
    """Value at a key with points; the default where the recipe has no such block."""
    for part in key.split("."):
        if not isinstance(recipe, dict) or part not in recipe:
            return default
        recipe = recipe[part]
    return recipe


def _inherit(folder: Path, name: str, seen: tuple[str, ...] = ()) -> Row:
    """A recipe with the keys of the one it extends; nested blocks are merged."""
    if name in seen:
        raise ValueError(f"{folder / name}.yaml: extends itself by way of {' -> '.join(seen)}")
    own = schema.read_yaml(folder / f"{name}.yaml")
    if "extends" not in own:
        return own
    base = own.pop("extends")
    if base not in (name, *seen):
        known(base, files.stems(folder, ".yaml"), "recipe", f"{folder / name}.yaml: extends")
    return _merge(_inherit(folder, base, (*seen, name)), own)


def _merge(base: Row, own: Row) -> Row:
    """Nested mappings merged; a key that is set to null takes a whole block away."""
    merged = dict(base)
    for key, value in own.items():
        if value is None and isinstance(base.get(key), dict):
            merged.pop(key)
        else:
            both = isinstance(value, dict) and isinstance(base.get(key), dict)
            merged[key] = _merge(base[key], value) if both else value
    return merged


def known(name: str, names: Any, kind: str, where: str) -> None:
    """A name that is not among these is a ValueError with what was meant."""
    if name not in names:
        raise ValueError(f"{where}: unknown {kind} '{name}'{schema.suggest(name, names)}")
