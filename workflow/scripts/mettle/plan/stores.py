"""Where images and weights are, and which of them a job of a model needs."""

from collections.abc import Iterable, Mapping
from typing import Any

from mettle.plan import classes, corrupted, hardened, names
from mettle.plan.groups import Groups
from mettle.plan.sheets import CLASSIFICATION, FEATURES, PLAIN, Row
from mettle.plan.trained import check_fits

SHARED = "results"  # stores and weights are here, whatever folder the configuration names


class Stores(Groups):
    """Files of data sets and weights, by model.

    Methods with a `wildcards` argument take any object or mapping with the wildcards' names.
    """

    pattern = staticmethod(names.pattern)

    @property
    def logs(self) -> str:
        """Folder of the logs of evaluations: in the folder of results, unless that is `results`."""
        return "logs" if self.results == SHARED else f"{self.results}/logs"

    @property
    def benchmarks(self) -> str:
        """Folder of the run times of evaluations, likewise."""
        return "benchmarks/results" if self.results == SHARED else f"{self.results}/benchmarks"

    def state(self, path: str) -> str:
        """Folder for the state of an unfinished job; not declared, since Snakemake deletes outputs of failed jobs."""
        return f"{self.results}/.resume/{path}"

    def recipe(self, wildcards: Any) -> Row:
        """Training recipe of a model, defaults filled in."""
        return self.recipe_of(get(wildcards, "model"))

    def stands_on(self, wildcards: Any) -> list[str]:
        """Weights that those of a model need beside them: of what its tokens or its head are for; none for most."""
        model = get(wildcards, "model")
        if not (self.has_tokens(model) or self.has_head(model)):
            return []
        base = self.models[model]["base"]
        return [weights_of(base), *self.stands_on({"model": base})]

    def bases_of(self, models: Iterable[str]) -> list[str]:
        """The same of several models."""
        return list(dict.fromkeys(path for model in models for path in self.stands_on({"model": model})))

    def bases_above(self, wildcards: Any) -> list[str]:
        """The same of the models that the model of a cell is compared with."""
        return self.bases_of(self.names_above(wildcards))

    def bases_of_judges(self, wildcards: Any) -> list[str]:
        """The same of the models of `judges`."""
        return self.bases_of(self.judges(wildcards))

    def foundation(self, model: str) -> str:
        """The model whose network a model has: that which its tokens or its head are for, or itself."""
        on_base = self.has_tokens(model) or self.has_head(model)
        return self.foundation(self.models[model]["base"]) if on_base else model

    def without_tokens(self, model: str, where: str) -> str:
        """The model without robustness tokens that a model has beside it, or itself if it has none.

        Of a head on a network with tokens it is the head of the same recipe and data set on the network without.

        Raises
        ------
        ValueError
            If there is no such head.
        """
        row = self.models[model]
        if not (self.has_head(model) and self.has_tokens(row["base"])):
            return row["base"] if self.has_tokens(model) else model
        same = [
            name
            for name, other in self.models.items()
            if other.get("base") == self.models[row["base"]]["base"]
            and all(other[key] == row[key] for key in ("recipe", "dataset"))
        ]
        if not same:
            raise ValueError(
                f"{where}.through is '{hardened.BASE}', but no row has the head '{row['recipe']}' on "
                f"'{self.models[row['base']]['base']}', the network of '{model}' without tokens: add one"
            )
        return same[0]

    def store(self, dataset: str, key: str) -> list[str]:
        """Store and manifest of the `train` or `test` split of a data set."""
        split = self.datasets[dataset][key]
        if not split:
            raise ValueError(f"{self.config['datasets']}, row '{dataset}': has no {key} split")
        return [f"results/prep/{dataset}/{split}.lmdb", f"results/prep/{dataset}/{split}.parquet"]

    def test_store(self, wildcards: Any) -> list[str]:
        """Held-out images that a model is evaluated on: of its data set, or of the one that the path names.

        Raises
        ------
        ValueError
            If the path names a data set that the model cannot be evaluated on, or whose images do not have its size.
        """
        model = get(wildcards, "model")
        dataset = self.models[model]["dataset"]
        asked = get(wildcards, "dataset", dataset)
        if asked not in self.datasets or not self.fits(model, asked):
            raise ValueError(f"{self.where(model)}: is a model of '{dataset}', not of '{asked}'")
        if self.task_of(model) in PLAIN:  # others take images of any size
            check_fits(self.preprocessing({"model": model}), self.datasets[asked], self.where(model))
        return self.store(asked, "test")

    def scored_store(self, wildcards: Any) -> list[str]:
        """As `test_store`, for images whose labels are compared with a model's predictions.

        Raises
        ------
        ValueError
            If the labels are not those of the model's classes, or it has none.
        """
        model = get(wildcards, "model")
        if self.task_of(model) == FEATURES:
            raise ValueError(f"{self.where(model)}: has no head, so it has no answers that can be scored")
        own = self.models[model]["dataset"]
        asked = get(wildcards, "dataset", own)
        held_out = self.test_store(wildcards)
        if not classes.alike(self.datasets, asked, own):
            count, known = (self.datasets[name]["classes"] for name in (asked, own))
            labels = f"{count} classes of" if count > 1 else "one class of"
            raise ValueError(
                f"{self.where(model)}: answers with the {known} classes of '{own}', but labels are the {labels} "
                f"'{asked}': on these images models can be represented and compared, not scored"
            )
        return held_out

    def classified_store(self, wildcards: Any) -> list[str]:
        """As `scored_store`, of classifiers alone.

        Raises
        ------
        ValueError
            As `scored_store` does, or for a model of another task.
        """
        self.known_classifier(get(wildcards, "model"))
        return self.scored_store(wildcards)

    def clean_store(self, wildcards: Any) -> list[str]:
        """Held-out clean images that a model is scored on; for a data set of published corrupted ones, the parent's.

        Raises
        ------
        ValueError
            As `scored_store` does.
        """
        row = self.datasets[get(wildcards, "dataset")]
        clean = row["parent"] if row["reader"] in corrupted.PUBLISHED else row["dataset"]
        return self.scored_store({"model": get(wildcards, "model"), "dataset": clean})

    def clean_targets(self, wildcards: Any) -> list[str]:
        """Targets beside the images of `clean_store`, for models of dense tasks."""
        if self.task_of(get(wildcards, "model")) == CLASSIFICATION:
            return []
        return targets_beside(self.clean_store(wildcards))

    def preprocessing(self, wildcards: Any) -> Row:
        """What of the recipe, or of the row, counts for a converted checkpoint: how images reach the network."""
        return {"input": self.recipe(wildcards)["input"]}

    def dense_network(self, wildcards: Any) -> Row:
        """The same for a converted model of a dense task: its network, and how images reach it."""
        recipe = self.recipe(wildcards)
        parts = ("kind", "task", "input", "backbone", "upernet", "linear", "mask_rcnn")
        return {key: recipe[key] for key in parts if key in recipe}


def targets_beside(store: list[str]) -> list[str]:
    """The store of targets beside the images of a store and its manifest."""
    return [path.replace(".lmdb", ".targets.lmdb") for path in store if path.endswith(".lmdb")]


def weights_of(model: str) -> str:
    """File with the weights of a model."""
    return f"{SHARED}/train/{model}/weights.safetensors"


def get(wildcards: Any, name: str, default: str = "") -> str:
    """A wildcard by its name, of a mapping or an object."""
    return wildcards.get(name, default) if isinstance(wildcards, Mapping) else getattr(wildcards, name, default)
