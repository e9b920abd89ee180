"""Cells: the files of models, data sets and attacks, and which of them can exist."""

from functools import cached_property
from typing import Any

from mettle import schema
from mettle.plan import attacks, classes, corrupted, hardened
from mettle.plan.kin import check_judge
from mettle.plan.sheets import CLASSIFICATION, PLAIN, Row, of_grid
from mettle.plan.stores import Stores, get, weights_of


class Cells(Stores):
    """What figures need to know about configuration, sheets and recipes, but not about jobs.

    Methods with a `wildcards` argument take any object or mapping with the wildcards' names.
    """

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
        if attacks.is_own(self.attacks[attack]):
            attacks.check_whole(self.attacks[attack], self.models[model]["threat"], f"{where} of '{model}'")
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

    @cached_property
    def expected_rows(self) -> list[tuple[str, Row]]:
        """Models with their published accuracies, in the order of the sheets of `expected`."""
        rows = [row for sheet in self.config["expected"] for row in schema.read_sheet(sheet, "published").values()]
        return [(row["model"], {key: row[key] for key in row if key != "model"}) for row in rows]

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
