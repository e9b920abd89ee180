"""Inputs and params of attacks, inversions and representations."""

from typing import Any

from mettle import schema
from mettle.corruptions import ALL, SEVERITIES
from mettle.plan import corrupted, extras, given
from mettle.plan.cells import Cells
from mettle.plan.sheets import Row
from mettle.plan.stores import get, weights_of


class Evaluation(Cells):
    """Input and params functions of the rules that evaluate models."""

    conda: bool  # whether jobs get environments of their own

    def kept_weights(self, wildcards: Any) -> str:
        """Weights of the epochs that a training keeps; the final weights of a model that keeps none."""
        model = get(wildcards, "model")
        keeps = self.models[model]["source"] == "train" and self.recipe(wildcards)["checkpoints"]
        return f"results/train/{model}/{'checkpoints' if keeps else 'weights.safetensors'}"

    def attack(self, wildcards: Any) -> Row:
        """Options of an attack as `Cells.attack` has them; ValueError if its engine is not installed."""
        options = super().attack(wildcards)
        engine = options.get("engine", "mettle")
        extras.need(engine, f"attack '{get(wildcards, 'attack')}': engine '{engine}'", conda=self.conda)
        return options

    def pictured_attack(self, wildcards: Any) -> Row:
        """The same, as far as pictures depend on it: their number is another option."""
        return {key: value for key, value in self.attack(wildcards).items() if key != "images"}

    def ball(self, wildcards: Any) -> Row:
        """Norm and eps of an attack."""
        return {key: self.attack(wildcards)[key] for key in ("norm", "eps")}

    @property
    def corruption_types(self) -> tuple[str, ...]:
        """Names of all corruptions."""
        return ALL

    def corrupted(self, wildcards: Any) -> Row:
        """Which corruptions a cell has, and on which images, as far as its numbers depend on it."""
        options, row = self.corruptions[get(wildcards, "corruptions")], self.datasets[get(wildcards, "dataset")]
        if row["reader"] in corrupted.PUBLISHED:
            corrupted.check_published(row, options, f"{self.config['datasets']}, row '{row['dataset']}'")
            kept = {key: options[key] for key in ("types", "severities", "images")}
            return schema.filled(kept, "corruptions") | {"reader": row["reader"]}
        return {key: value for key, value in options.items() if key not in ("by_type", "stored")}

    def published_images(self, wildcards: Any) -> list[str]:
        """Folder with the corrupted images of a cell, if its data set has them as published."""
        row, options = self.datasets[get(wildcards, "dataset")], self.corruptions[get(wildcards, "corruptions")]
        if row["reader"] not in corrupted.PUBLISHED or options["types"] == [corrupted.CLEAN]:
            return []
        return [row["source"]]

    def corruption(self, wildcards: Any) -> Row:
        """The same of a store of images under one corruption."""
        options = self.corruption_sets[get(wildcards, "corruptions")]
        one = {"types": [get(wildcards, "corruption")], "severities": [int(get(wildcards, "severity"))]}
        return {key: value for key, value in (options | one).items() if key not in ("by_type", "stored")}

    def answers(self, wildcards: Any) -> list[str]:
        """Cells of a model under a set of corruptions, those of clean images among them."""
        dataset, model, name = (get(wildcards, key) for key in ("dataset", "model", "corruptions"))
        return self.corrupt_cells(dataset, name, [model])

    def task(self, wildcards: Any) -> str:
        """Task of a model."""
        return self.task_of(get(wildcards, "model"))

    def scored_corruptions(self, wildcards: Any) -> Row:
        """Types and severities of a set."""
        options = self.corruption_sets[get(wildcards, "corruptions")]
        return {key: options[key] for key in ("types", "severities")}

    def reference(self, wildcards: Any) -> list[str]:
        """Errors to which those of a model of the data set are relative, if there are any."""
        dataset = get(wildcards, "dataset")
        table = self.config["corrupt"]["references"].get(dataset)
        where = f"configuration: corrupt.references.{dataset}"
        return [str(given.listed(table, where))] if table else []

    def exemplified(self, wildcards: Any) -> Row:
        """The same of example images under all corruptions of a set: at every severity, whatever it evaluates."""
        options = self.corruption_sets[get(wildcards, "corruptions")]
        shown = {"severities": list(SEVERITIES), "images": self.config["corrupt"]["examples"]}
        return {key: value for key, value in (options | shown).items() if key not in ("by_type", "stored")}

    def frosts(self, wildcards: Any) -> list[str]:
        """Folder with the user's textures of frost, if a cell needs one."""
        name = get(wildcards, "corruptions")
        options = (self.corruptions | self.corruption_sets)[name]
        if not options["frosts"] or "frost" not in options["types"]:
            return []
        return [str(given.folder(options["frosts"], f"configuration: corrupt.corruptions.{name}.frosts"))]

    def corrupted_stores(self, wildcards: Any) -> list[str]:
        """Stores and manifests of the corrupted images of a cell, if its set stores them."""
        dataset, cell = get(wildcards, "dataset"), get(wildcards, "corruptions")
        options = self.corruptions[cell]
        if not options["stored"] or self.datasets[dataset]["reader"] in corrupted.PUBLISHED:
            return []
        name = next(name for name in self.corruption_sets if cell in corrupted.cells(name, self.corruption_sets[name]))
        folder = f"{self.results}/corrupted/{dataset}/{name}"
        found = [f"{folder}/{kind}-{severity}" for kind, severity in corrupted.conditions(options)]
        return [f"{path}.{ending}" for path in found for ending in ("lmdb", "parquet")]

    def seed_of_corruption(self, wildcards: Any) -> int | None:
        """The seed, if images or corruptions of a cell are drawn."""
        options = self.corruptions[get(wildcards, "corruptions")]
        return self.config["seed"] if options["images"] or options["types"] != [corrupted.CLEAN] else None

    @property
    def image_sets(self) -> str:
        """Regular expression of the image sets that models are represented on."""
        return f"natural|train|inverted-(?:{self.pattern(self.models)})"

    def drift(self, wildcards: Any) -> Row:
        """Options of an attack on features, as far as numbers depend on them."""
        return {key: value for key, value in self.drifts[get(wildcards, "drift")].items() if key != "through"}

    def attacked_through(self, wildcards: Any) -> str:
        """Model whose features an attack on a model's features changes.

        Raises
        ------
        ValueError
            If either is a model of a dense task, or they take other images.
        """
        name, model = get(wildcards, "drift"), get(wildcards, "model")
        self.known_plain(model)
        return self.through(model, self.drifts[name]["through"], f"configuration: drift.attacks.{name}")

    def foundation_weights(self, wildcards: Any) -> list[str]:
        """Weights of the network that a model has, without tokens."""
        return [weights_of(self.foundation(get(wildcards, "model")))]

    def through_weights(self, wildcards: Any) -> list[str]:
        """Weights of the model that an attack on features goes through, and what they stand on."""
        through = self.attacked_through(wildcards)
        return [weights_of(through), *self.stands_on({"model": through})]

    def surrogate(self, wildcards: Any) -> list[str]:
        """The same of an attack on answers; none if it goes through the model itself."""
        model, name = get(wildcards, "model"), get(wildcards, "attack")
        through = self.through(model, self.attacks[name]["through"], f"configuration: attack.attacks.{name}")
        return [] if through == model else [weights_of(through), *self.stands_on({"model": through})]

    def held_out(self, wildcards: Any) -> list[str]:
        """Held-out images of a data set."""
        return self.store(get(wildcards, "dataset"), "test")

    @property
    def drawn_pairs(self) -> list[str]:
        """Data sets whose seeds and targets are drawn; those of others are listed."""
        return [name for name in self.datasets if name not in self.config["invert"]["lists"]]

    def lists(self, wildcards: Any) -> Row:
        """The lists of seeds and targets of a data set, and what their numbers mean.

        Raises
        ------
        ValueError
            If the configuration has none, or names a file that does not exist.
        """
        dataset, where = get(wildcards, "dataset"), "configuration: invert.lists"
        if dataset not in self.config["invert"]["lists"]:
            raise ValueError(
                f"{where} has no '{dataset}': name the lists of seeds and targets behind its published images"
            )
        options = self.config["invert"]["lists"][dataset]
        paths = {key: given.listed(options[key], f"{where}.{dataset}.{key}") for key in ("targets", "seeds")}
        return options | {key: str(path) for key, path in paths.items() if path}

    def pair_lists(self, wildcards: Any) -> list[str]:
        """Files of the lists of a data set."""
        lists = self.lists(wildcards)
        return [lists[key] for key in ("targets", "seeds") if lists[key]]

    @property
    def inverted_here(self) -> list[str]:
        """Models whose images the workflow inverts."""
        return [name for name, row in self.models.items() if not row.get("inverted")]

    @property
    def inverted_elsewhere(self) -> list[str]:
        """Models with published inverted images."""
        return [name for name, row in self.models.items() if row.get("inverted")]

    def inverted_source(self, wildcards: Any) -> list[str]:
        """The file with the published images of a model.

        Raises
        ------
        ValueError
            If they are asked for on a data set other than the model's, or the configuration has no lists for it.
        """
        row, dataset = self.models[get(wildcards, "model")], get(wildcards, "dataset")
        if row["dataset"] != dataset:
            raise ValueError(
                f"{self.where(row['model'])}: its published inverted images are of '{row['dataset']}', not of "
                f"'{dataset}': empty the column inverted to have the model inverted here"
            )
        self.lists(wildcards)
        return given.checkpoint(row["inverted"])

    def inverted_row(self, wildcards: Any) -> Row:
        """Columns of its row that the published images of a model depend on."""
        row = self.models[get(wildcards, "model")]
        return {key: row[key] for key in ("model", "inverted")}

    @property
    def inversion(self) -> Row:
        """Options that inverted images depend on."""
        return {key: self.config["invert"][key] for key in ("steps", "step_size", "momentum")}

    def image_set(self, wildcards: Any) -> list[str]:
        """Store and manifest of the images that a path names: natural, train, or inverted through a model.

        Raises
        ------
        ValueError
            If the model cannot be evaluated on them.
        """
        images, dataset, model = (get(wildcards, key) for key in ("images", "dataset", "model"))
        self.known_classifier(model)
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
        return [f"{self.results}/invert/{dataset}/{source}.lmdb", f"{self.results}/invert/{dataset}/{source}.parquet"]

    def sample(self, wildcards: Any) -> int | None:
        """Number of images to represent: a sample of the held-out images, all of other sets."""
        return self.config["represent"]["sample"] if get(wildcards, "images") == "natural" else None

    def seed_of_sample(self, wildcards: Any) -> int | None:
        """The seed, if images are drawn or shuffled: a sample of held-out images, or training images."""
        return self.config["seed"] if get(wildcards, "images") in ("natural", "train") else None
