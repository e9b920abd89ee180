"""Inputs and params of trainings and conversions."""

import itertools
from typing import Any

from mettle import files, schema
from mettle.digests import fingerprint
from mettle.plan import given
from mettle.plan.cells import Cells
from mettle.plan.sheets import FEATURES, Row
from mettle.plan.stores import get, targets_beside, weights_of
from mettle.typed import ModelRow, SharedAttack

# Columns that the weights of a model depend on, or that their metadata contain.
_OF_WEIGHTS = ("model", "dataset", "arch", "classes", "threat", "eps", "seed", "recipe")


class Training(Cells):
    """Input and params functions of the rules that make weights."""

    def model_source(self, wildcards: Any) -> list[str]:
        """The file that a checkpoint is read from."""
        return given.checkpoint(self.model_row(wildcards)["source"])

    def code(self, wildcards: Any) -> list[str]:
        """Files of the user's own code that weights are made with; none for most models."""
        row = self.model_row(wildcards)
        told = self._code(row) | (self._loss_code(wildcards) if row["source"] == "train" else {})
        return [str(files.locate(path)) for path in dict.fromkeys(itertools.chain(*told.values()))]

    def _code(self, row: Row) -> Row:
        """Files that make the architecture, as sheets and configuration name them; no key where there are none."""
        paths = self.code_of(row["arch"])
        return {"code": paths} if paths else {}

    def _loss_code(self, wildcards: Any) -> Row:
        """Plugins that register the loss of the recipe, likewise."""
        loss = self.recipe(wildcards)["loss"]
        paths = [] if loss in schema.names("recipe.loss") else self.plugins.naming(loss)
        return {"loss_code": paths} if paths else {}

    def train_store(self, wildcards: Any) -> list[str]:
        """Training images of a model."""
        return self.store(self.models[get(wildcards, "model")]["dataset"], "train")

    def mixed_store(self, wildcards: Any) -> list[str]:
        """Training images that a model's recipe mixes in; none for most."""
        mix = self.recipe(wildcards).get("mix")
        return self.store(mix["dataset"], "train") if mix else []

    def base_weights(self, wildcards: Any) -> list[str]:
        """Weights that the training of a model starts from; none for most."""
        base = self.models[model := get(wildcards, "model")].get("base")
        below = self.stands_on({"model": base}) if base and self.has_head(model) else []
        return [weights_of(base), *below] if base else []

    def base_of_head(self, wildcards: Any) -> list[str]:
        """Weights that a converted head is for; none for whole models."""
        return self.base_weights(wildcards) if self.has_head(get(wildcards, "model")) else []

    def model_row(self, wildcards: Any) -> ModelRow:
        """Row of a model with the number of classes of its data set."""
        row = self.models[get(wildcards, "model")]
        headless = self.task_of(row["model"]) == FEATURES
        return row | {"classes": 0 if headless else self.datasets[row["dataset"]].get("classes")}

    def trained_row(self, wildcards: Any) -> Row:
        """Columns of its row that the weights of a trained model depend on, or that their metadata contain."""
        row = self.model_row(wildcards)
        found = {key: row[key] for key in (*_OF_WEIGHTS, "base", "transfer") if key in row}
        return found | self._code(row) | self._loss_code(wildcards)

    def tokens_row(self, wildcards: Any) -> Row:
        """Columns of its row that robustness tokens depend on, or that their metadata contain."""
        row = self.models[get(wildcards, "model")]
        return {key: row[key] for key in ("model", "base", "recipe", "threat", "eps", "seed")}

    def head_row(self, wildcards: Any) -> Row:
        """Columns of its row that a head of classification depends on, or that its metadata contain."""
        row = self.model_row(wildcards)
        keys = ("model", "dataset", "classes", "base", "recipe", "threat", "eps", "seed")
        return {key: row[key] for key in keys}

    def head_recipe(self, wildcards: Any) -> Row:
        """Its recipe; how images reach the network is in the weights of the base."""
        return self.recipes.of(self.models[get(wildcards, "model")])

    def published_head_row(self, wildcards: Any) -> Row:
        """The same of a published head, or of one of another row."""
        return self.head_row(wildcards) | {"source": self.models[get(wildcards, "model")]["source"]}

    def published_head_recipe(self, wildcards: Any) -> Row:
        """What of a recipe counts for such a head."""
        recipe = self.head_recipe(wildcards)
        return {key: recipe[key] for key in ("method", "blocks", "average", "lr", "neighbours", "temperature")}

    def published_tokens_row(self, wildcards: Any) -> Row:
        """The same of published tokens."""
        return self.tokens_row(wildcards) | {"source": self.models[get(wildcards, "model")]["source"]}

    def published_tokens_recipe(self, wildcards: Any) -> Row:
        """What of a recipe counts for published tokens."""
        recipe = self.tokens_recipe(wildcards)
        kept = {key: recipe[key] for key in ("n", "position")}
        return kept | {"attack": {"similarity": recipe["attack"]["similarity"]}}

    def tokens_recipe(self, wildcards: Any) -> Row:
        """Their recipe, but for where attacked images come from: tokens do not depend on that."""
        recipe = self.recipes.of(self.models[get(wildcards, "model")])
        return {key: value for key, value in recipe.items() if key != "share_attack"}

    def shared_attack(self, wildcards: Any) -> list[str]:
        """Attacked images that the training of tokens has in common with others, and their table; none for most."""
        row = self.models[get(wildcards, "model")]
        if not (told := self._shared_by(row)):
            return []
        path = f"results/train/{row['base']}/attacked/{_named(told)}"
        return [f"{path}.npy", f"{path}.parquet"]

    def attack_to_share(self, wildcards: Any) -> SharedAttack:
        """What trainings have in common that share attacked images.

        Raises
        ------
        ValueError
            If no row of tokens has this base and shares images of this name.
        """
        base, name = get(wildcards, "model"), get(wildcards, "shared")
        rows = (self.models[model] for model in self.hardened)
        found = {_named(told): told for row in rows if row["base"] == base and (told := self._shared_by(row))}
        if name not in found:
            raise ValueError(
                f"no row of tokens on '{base}' shares attacked images '{name}', but {', '.join(found) or 'none'}: "
                "share_attack of their recipe says so, and their recipe and seed make the name"
            )
        return found[name]

    def _shared_by(self, row: ModelRow) -> SharedAttack | None:
        recipe = self.recipes.of(row)
        if not (recipe["share_attack"] and recipe["steps"]):
            return None
        return {"seed": row["seed"]} | {key: recipe[key] for key in ("steps", "batch_size", "precision", "attack")}

    def train_targets(self, wildcards: Any) -> list[str]:
        """Targets beside the training images of a model of a dense task."""
        return targets_beside(self.train_store(wildcards))

    def test_targets(self, wildcards: Any) -> list[str]:
        """Targets beside its held-out images."""
        return targets_beside(self.test_store(wildcards))

    def transferred_row(self, wildcards: Any) -> Row:
        """Columns of its row, and of its data set's, that the weights of a model of a dense task depend on."""
        row = self.model_row(wildcards)
        found = {key: row[key] for key in (*_OF_WEIGHTS, "base") if key in row} | self._code(row)
        way = "fixed" if self.has_head(row["model"]) else row.get("transfer", "full")
        return found | {"transfer": way} | self._of_maps(row)

    def _of_maps(self, row: ModelRow) -> Row:
        """Cells of its data set that a model of label maps depends on."""
        data = self.datasets[row["dataset"]]
        return {"ignore": data.get("ignore"), "map_classes": data.get("map_classes", data.get("classes"))}

    def converted_row(self, wildcards: Any) -> Row:
        """Columns of its row that the weights of a converted model depend on, or that their metadata contain."""
        row = self.model_row(wildcards)
        part = {"part": row["part"]} if "part" in row else {}
        return {key: row[key] for key in (*_OF_WEIGHTS, "source", "format")} | part | self._code(row)

    def converted_dense_row(self, wildcards: Any) -> Row:
        """The same of a model of a dense task; unless it is a head, it is made as one whose backbone trained."""
        row = self.model_row(wildcards)
        way = {"transfer": "fixed", "base": row["base"]} if self.has_head(row["model"]) else {"transfer": "full"}
        return self.converted_row(wildcards) | way | self._of_maps(row)

    def sha256(self, wildcards: Any) -> str | None:
        """SHA-256 that the row of a converted model states, or None."""
        return self.model_row(wildcards).get("sha256")

    def said(self, wildcards: Any) -> Row:
        """Facts about a model that its weights do not depend on: mirror, licence, reference, published accuracies."""
        model, row = get(wildcards, "model"), self.model_row(wildcards)
        found = {key: row.get(key, "") for key in ("mirror", "licence", "reference")}
        known = [numbers for name, numbers in self.expected_rows if name == self.published_as(model)]
        return found | {"expected": known}

    def card(self, wildcards: Any) -> Row:
        """Facts on a model's card beyond the metadata of its weights: about the model and its training data."""
        row = self.model_row(wildcards)
        data = {key: self.datasets[row["dataset"]][key] for key in ("licence", "names")}
        own = {key: row[key] for key in ("model", "dataset", "recipe", "seed")}
        return self.said(wildcards) | {"row": own, "data": data}


def _named(told: SharedAttack) -> str:
    """Name of files that depend on exactly this."""
    return fingerprint(told)[:12]
