"""Cells: the files of models, data sets and attacks, and which of them can exist."""

from collections.abc import Iterable, Mapping
from typing import Any

from mettle import schema
from mettle.plan import attacks, classes, corrupted, hardened, names
from mettle.plan.groups import Groups
from mettle.plan.kin import check_judge
from mettle.plan.recipes import check_fits
from mettle.plan.sheets import CLASSIFICATION, FEATURES, PLAIN, Row, of_grid

SHARED = "results"  # stores and weights are here, whatever folder the configuration names


class Cells(Groups):
    """What figures need to know about configuration, sheets and recipes, but not about jobs.

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

    def represented(self, wildcards: Any) -> list[str]:
        """Inputs of the pairs of a cell, a model and those before it in a set.

        For natural images the representation of each model, its own first; for inverted images the folder with all.
        """
        dataset, images, name, model = (get(wildcards, key) for key in ("dataset", "images", "set", "model"))
        # Raises for a model that cannot be evaluated on the data set.
        (self.scored_store if get(wildcards, "groups") == "correctness" else self.test_store)(wildcards)
        folder, above = f"{self.results}/represent/{dataset}", self.names_above(wildcards)
        if images == "natural":
            return [f"{folder}/natural/{name}.parquet" for name in (model, *above)]
        return [f"{folder}/crossed/{name}/{model}"] if above else []

    def names_above(self, wildcards: Any) -> list[str]:
        """Models that the model of a cell is compared with."""
        return self.above(*(get(wildcards, key) for key in ("model", "set", "dataset")))

    def attack(self, wildcards: Any) -> Row:
        """Options of an attack, defaults filled in, in the ball of the model where it asks for that.

        Raises
        ------
        ValueError
            If models of its task cannot be attacked, or not so.
        """
        name, model = get(wildcards, "attack"), get(wildcards, "model")
        self.check_attackable(model, name)
        options = {key: value for key, value in self.attacks[name].items() if key != "through"}
        return attacks.resolved(options, self.models[model], self.task_of(model))

    def through(self, model: str, named: str, where: str) -> str:
        """The model that an attack on a model goes through, as `through` of its options names it.

        Raises
        ------
        ValueError
            If it is unknown, takes other images, or answers with other classes, than the model.
        """
        if named == hardened.SELF:
            return model
        other = self.without_tokens(model, where) if named == hardened.BASE else named
        hardened.check_through(other, self.models, where)
        own, its = (self.preprocessing({"model": name})["input"] for name in (model, other))
        rows, tasks = (self.models[name]["dataset"] for name in (model, other)), map(self.task_of, (model, other))
        differing = next((key for key in ("size", "resize", "interpolation") if own[key] != its[key]), None)
        differing = differing or (None if classes.alike(self.datasets, *rows) else "classes")
        differing = differing or (None if len({*tasks}) == 1 else "task")
        if differing:
            raise ValueError(f"{where}.through: '{other}' has another {differing} than '{model}': name another model")
        return other

    def check_attackable(self, model: str, attack: str) -> None:
        """Raise ValueError if models of the task of a model cannot be attacked, or not by this attack."""
        where = f"configuration: attack.attacks.{attack}"
        if attacks.is_own(self.attacks[attack]) and self.models[model]["threat"] == hardened.NORMALISED:
            raise ValueError(
                f"{where}: is in the model's own ball, but that of '{model}' is of {hardened.NORMALISED}, which only "
                "attacks on features have: state norm and eps"
            )
        attacks.check_task(self.attacks[attack], self.task_of(model), where, self.where(model))

    def attack_through_itself(self, wildcards: Any) -> Row:
        """The same of an attack whose images are kept.

        Raises
        ------
        ValueError
            If the attack goes through another model than the one that is attacked.
        """
        if (named := self.attacks[get(wildcards, "attack")]["through"]) != hardened.SELF:
            raise ValueError(
                f"configuration: attack.attacks.{get(wildcards, 'attack')}.through is '{named}', but images are kept "
                "of attacks through the model itself only: name another attack"
            )
        return self.attack(wildcards)

    def known_classifier(self, model: str) -> None:
        """Raise ValueError for a model of another task than classification."""
        if (task := self.task_of(model)) != CLASSIFICATION:
            raise ValueError(f"{self.where(model)}: is a model of {task}, but this is for models of classification")

    def known_plain(self, model: str) -> None:
        """Raise ValueError for a model of a dense task, whose network is not one that gives features."""
        if (task := self.task_of(model)) not in PLAIN:
            raise ValueError(
                f"{self.where(model)}: is a model of {task}, but features are compared of classifiers and of networks "
                "without a head: name its backbone"
            )

    def attack_cells(self, datasets: list[str], attacks: list[str]) -> list[str]:
        """Cells of every model that can be scored on these data sets, under these entries of `attack.attacks`."""
        return [
            f"{self.results}/attack/{dataset}/{model}/{attack}.parquet"
            for dataset in datasets
            for model in self.listed
            if self.scores(model, dataset)
            for entry in attacks
            for attack in self.attack_grid(entry)
        ]

    def attack_grid(self, name: str) -> list[str]:
        """Attacks of an entry of `attack.attacks`: itself, or the cells of its grid."""
        return [cell for cell, _ in of_grid(name, self.config["attack"]["attacks"][name])]

    def known_attack(self, name: str, where: str) -> None:
        """Raise ValueError for an unknown entry of `attack.attacks`."""
        self.known(name, self.config["attack"]["attacks"], "attack", where)

    def corrupt_cells(self, dataset: str, name: str, models: list[str] | None = None) -> list[str]:
        """Cells of models under a set of corruptions, those of clean images among them.

        Parameters
        ----------
        dataset : whose held-out images are corrupted
        name : entry of `corrupt.corruptions`
        models : those that can be scored on the data set; all listed ones by default
        """
        parts = corrupted.cells(name, self.corruption_sets[name])
        asked = [model for model in self.listed if self.scores(model, dataset)] if models is None else models
        return [f"{self.results}/corrupt/{dataset}/{model}/{cell}.parquet" for model in asked for cell in parts]

    def robustness(self, dataset: str, model: str, name: str) -> str:
        """File with the scores of a model under an entry of `corrupt.corruptions`."""
        return f"{self.results}/robustness/{dataset}/{model}/{name}.parquet"

    def examples(self, dataset: str, name: str) -> str:
        """File with images of a data set under every corruption of an entry of `corrupt.corruptions`."""
        return f"{self.results}/corrupted/{dataset}/{name}/examples.parquet"

    def known_corruptions(self, name: str, where: str) -> None:
        """Raise ValueError for an unknown entry of `corrupt.corruptions`."""
        self.known(name, self.corruption_sets, "set of corruptions", where)

    def judges(self, wildcards: Any) -> list[str]:
        """Models that classify the perturbations of a data set's images against a model.

        Raises
        ------
        ValueError
            If the configuration names none, or one that is unknown or shares weights with the model.
        """
        where, dataset = "configuration: attack.perturbations.judges", get(wildcards, "dataset")
        named = self.config["attack"]["perturbations"]["judges"]
        for judge in named:
            self.known(judge, self.models, "model", where)
        judges = [judge for judge in named if self.scores(judge, dataset)]
        if not judges:
            raise ValueError(
                f"{where} names no model of '{dataset}': list those that are to classify the perturbations"
            )
        for judge in judges:
            check_judge(self, judge, get(wildcards, "model"), where)
        return judges

    def weights_of_judges(self, wildcards: Any) -> list[str]:
        """Weights of the models of `judges`, in their order."""
        return [weights_of(judge) for judge in self.judges(wildcards)]

    def keys_of(self, model: str) -> Row:
        """Norm and eps of a model, as keys of a table."""
        row = self.models[model]
        return {"norm": None if row["threat"] == "none" else row["threat"], "eps": row["eps"]}

    def published_numbers(self, sheet: str) -> list[Row]:
        """Rows of a sheet of published accuracies.

        Raises
        ------
        ValueError
            If an accuracy under AutoAttack has no ball.
        """
        rows = list(schema.read_sheet(sheet, "published").values())
        for row in rows:
            if "autoattack" in row and not {"norm", "eps"} <= row.keys():
                raise ValueError(f"{sheet}, row '{row['model']}': an accuracy under AutoAttack needs norm and eps")
        return rows


def targets_beside(store: list[str]) -> list[str]:
    """The store of targets beside the images of a store and its manifest."""
    return [path.replace(".lmdb", ".targets.lmdb") for path in store if path.endswith(".lmdb")]


def weights_of(model: str) -> str:
    """File with the weights of a model."""
    return f"{SHARED}/train/{model}/weights.safetensors"


def get(wildcards: Any, name: str, default: str = "") -> str:
    """A wildcard by its name, of a mapping or an object."""
    return wildcards.get(name, default) if isinstance(wildcards, Mapping) else getattr(wildcards, name, default)
