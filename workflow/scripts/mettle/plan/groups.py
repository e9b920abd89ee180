"""Models: where their weights come from, on which data sets they are evaluated, and which are compared."""

from dataclasses import dataclass
from functools import cached_property

from mettle import schema
from mettle.plan import classes
from mettle.plan.sheets import CLASSIFICATION, PICTURED, PLAIN, Row, Sheets

# The set of the models of one data set, threat and eps: the default that is compared.
GROUP = "group"


@dataclass(frozen=True)
class Set:
    """Models that are compared with each other.

    Attributes
    ----------
    models : names, in the order in which each is compared with those before it
    across : whether models of different data sets, threats and eps are also compared
    """

    models: tuple[str, ...]
    across: bool = False


class Groups(Sheets):
    """The models of the sheets, and the sets of them that are compared.

    Within a set, a model is compared with those before it: each unordered pair is made once, and a model added at the
    end costs one cell.
    """

    @property
    def trained(self) -> list[str]:
        """Classifiers that the workflow trains."""
        made = (name for name in self._made_here if self.task_of(name) == CLASSIFICATION)
        return [name for name in made if not self.has_head(name)]

    @property
    def pictured(self) -> list[str]:
        """Models whose answers are pictures."""
        return [name for name in self.models if self.task_of(name) in PICTURED]

    @property
    def headed(self) -> list[str]:
        """Heads of classification on frozen networks, which the workflow trains."""
        made = (name for name in self._made_here if self.task_of(name) == CLASSIFICATION)
        return [name for name in made if self.has_head(name)]

    @property
    def converted_heads(self) -> list[str]:
        """Heads of classification from a published file, or of another row."""
        return [name for name in self.published if self.has_head(name) and self.task_of(name) == CLASSIFICATION]

    @property
    def hardened(self) -> list[str]:
        """Models of robustness tokens, which the workflow trains."""
        return [name for name, row in self.models.items() if row["source"] == "train" and self.has_tokens(name)]

    @property
    def converted_tokens(self) -> list[str]:
        """Models of robustness tokens from a published file."""
        return [name for name in self._found_elsewhere if self.has_tokens(name)]

    @property
    def with_registers(self) -> list[str]:
        """Models of robustness tokens for DINOv2, in whose own format they can be written."""
        dinov2 = (name for name, row in self.models.items() if row["arch"].startswith("dinov2_vit"))
        return [name for name in dinov2 if self.has_tokens(name)]

    @property
    def transferred(self) -> list[str]:
        """Models of other tasks that the workflow trains, and heads of such tasks."""
        return [name for name in self._made_here if self.task_of(name) not in PLAIN]

    @property
    def _made_here(self) -> list[str]:
        """Models that the workflow trains, but for robustness tokens."""
        return [name for name, row in self.models.items() if row["source"] == "train" and not self.has_tokens(name)]

    @property
    def published(self) -> list[str]:
        """Models that come from a published checkpoint, but for robustness tokens."""
        return [name for name in self._found_elsewhere if not self.has_tokens(name)]

    @property
    def _found_elsewhere(self) -> list[str]:
        return [name for name, row in self.models.items() if row["source"] != "train"]

    @property
    def converted(self) -> list[str]:
        """Classifiers among them, and networks without a head."""
        return [name for name in self.published if self.task_of(name) in PLAIN and not self.has_head(name)]

    @property
    def converted_dense(self) -> list[str]:
        """Models of other tasks among them."""
        return [name for name in self.published if self.task_of(name) not in PLAIN]

    @cached_property
    def listed(self) -> list[str]:
        """Classifiers that figures and tables of all models show: not those of sweeps or with `apart` in their row."""
        shown = (name for name, row in self.models.items() if "sweep" not in row and row.get("apart") != "yes")
        return [name for name in shown if self.task_of(name) == CLASSIFICATION]

    @cached_property
    def splits(self) -> list[str]:
        """Names of splits over all data sets."""
        return sorted({row[key] for row in self.datasets.values() for key in ("train", "test")} - {""})

    def models_of_sweep(self, sweep: str) -> list[str]:
        """Models of a sweep, in the order of its grid; ValueError if they do not fit the sheets."""
        if sweep in self.left_out:
            raise ValueError(self.left_out[sweep])
        return [name for name, row in self.models.items() if row.get("sweep") == sweep]

    def fits(self, model: str, dataset: str) -> bool:
        """Whether a model can be evaluated on a data set: its own, or one that names its own as `parent`."""
        return self.models[model]["dataset"] in (dataset, self.datasets[dataset].get("parent"))

    def scores(self, model: str, dataset: str) -> bool:
        """Whether a model can be evaluated on a data set whose labels are among its classes."""
        own = self.models[model]["dataset"]
        return self.fits(model, dataset) and classes.alike(self.datasets, own, dataset)

    def group(self, model: str) -> tuple[str, str, float]:
        """Data set, threat and eps of a model: models that have them in common are compared by default."""
        row = self.models[model]
        return row["dataset"], row["threat"], row["eps"]

    @cached_property
    def sets(self) -> dict[str, Set]:
        """Sets by name: all listed models, those that figures choose, and those of `sets`."""
        chosen = {name: one.get("models") for name, one in self.config["figures"].items()}
        across = {name for name, about in schema.load("figures")["properties"].items() if about.get("across")}
        own = {
            name: Set(self.names(models), name in across)
            for name, models in chosen.items()
            if isinstance(models, list | dict)
        }
        named = {name: Set(self.names(one["models"]), one["across"]) for name, one in self.config["sets"].items()}
        for name in named:
            if name in (GROUP, *schema.load("figures")["properties"]):
                raise ValueError(f"configuration: sets.{name}: the name is taken: choose another")
        return {GROUP: Set(tuple(self.listed))} | own | named

    def names(self, models: list[str] | Row) -> tuple[str, ...]:
        """The models of a list, or those that match a selector, in the order of the sheets.

        Parameters
        ----------
        models : names; or cells that rows must have by column, each a value or a list of which a row has one. A
            selector sees what figures of all models show, unless it asks for `apart`
        """
        if isinstance(models, list):
            return tuple(models)
        wanted = {column: value if isinstance(value, list) else [value] for column, value in models.items()}
        wanted = {key: [schema.filled({key: one}, "models")[key] for one in values] for key, values in wanted.items()}
        rows = self.models if "apart" in wanted else self.listed
        return tuple(name for name in rows if all(self.models[name].get(key) in of for key, of in wanted.items()))

    def known_models(self, models: list[str] | Row | str, where: str) -> None:
        """Raise ValueError for a list with an unknown model, a selector that matches none, or an unknown set."""
        if isinstance(models, str):
            self.known_set(models, where)
        elif isinstance(models, list):
            for name in models:
                self.known(name, self.models, "model", where)
        else:
            for column in models:
                self.known(column, schema.load("models")["properties"], "column", where)
            if not self.names(models):
                cells = ", ".join(f"{column}: {value}" for column, value in models.items())
                raise ValueError(f"{where}: no row of the sheets of models has {cells}")

    def known_set(self, name: str, where: str) -> None:
        """Raise ValueError for an unknown set, or one with a model that is unknown."""
        self.known(name, self.sets, "set", where)
        if name in self.config["sets"]:
            self.known_models(self.config["sets"][name]["models"], f"configuration: sets.{name}.models")

    def set_of(self, figure: str) -> str:
        """Name of the set that a figure shows: the one that its option `models` names, or its own."""
        models = self.config["figures"][figure].get("models")
        return figure if isinstance(models, list | dict) else models or GROUP

    @cached_property
    def _compared(self) -> dict[tuple, list[str]]:
        """Models that are compared, by set and group."""
        found: dict[tuple, list[str]] = {}
        for name, one in self.sets.items():
            for model in one.models:
                if model in self.models:
                    found.setdefault((name, self._part(name, model)), []).append(model)
        return found

    def _part(self, name: str, model: str) -> tuple | None:
        return None if self.sets[name].across else self.group(model)

    def above(self, model: str, name: str = GROUP, dataset: str = "") -> list[str]:
        """Models that a model is compared with: those before it in a set that can be evaluated on the same data set.

        Parameters
        ----------
        model : name
        name : of the set
        dataset : whose images all are evaluated on; the model's own if empty
        """
        members = self._compared.get((name, self._part(name, model)), [])
        before = members[: members.index(model)] if model in members else []
        return [other for other in before if self.fits(other, dataset or self.models[model]["dataset"])]
