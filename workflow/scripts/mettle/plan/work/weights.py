"""Work of the jobs that pack images and make weights."""

from typing import Any

from mettle.plan.loads import BACK, Load
from mettle.plan.stores import get
from mettle.plan.work.passes import DENSE, TRAINING, Passes, felt
from mettle.typed import SharedAttack, TokensRecipe


class Weights(Passes):
    """Packing and weights."""

    def prep(self, cell: Any) -> Load:
        """The number of images is known only after packing: photographs take hours, small images minutes."""
        return Load(seconds=1_000 if self.plan.dataset_row(cell)["size"] else 14_000, mb=2_000)

    def browse(self, cell: Any) -> Load:
        """A pass over the targets, and some images in a page."""
        return Load(seconds=200, mb=1_000)

    def convert(self, cell: Any) -> Load:
        """The checkpoint and the network side by side."""
        return Load(seconds=200, mb=10 * self._network(get(cell, "model")).parameters)

    def convert_dense(self, cell: Any) -> Load:
        """The same; heads weigh up to twice as much as the backbone, and their packages are imported too."""
        return Load(seconds=300, mb=1_000 + 30 * self._network(get(cell, "model")).parameters)

    def convert_tokens(self, cell: Any) -> Load:
        """The network of the base, into which the tokens have to fit."""
        return self.convert(cell)

    def convert_head(self, cell: Any) -> Load:
        """The same, into which the head has to fit."""
        return self.convert(cell)

    def registers(self, cell: Any) -> Load:
        """The network, and a copy of its state."""
        return self.convert(cell)

    def card(self, cell: Any) -> Load:
        """The metadata of a file, and its SHA-256."""
        return Load(seconds=60)

    def hub(self, cell: Any) -> Load:
        """The network, the same once more, and the answers to read."""
        found = self.convert(cell)
        return found + Load(seconds=60, mb=found.mb)

    def submission(self, cell: Any) -> Load:
        """Answers to every image to read."""
        return Load(seconds=60, mb=1_000)

    def train(self, cell: Any) -> Load:
        """An attack and an update per image and epoch, and a tenth more for validation."""
        model, recipe = get(cell, "model"), self.plan.recipe(cell)
        own = self._images(model, self.plan.models[model]["dataset"], self.plan.train_store(cell), TRAINING)
        n, mixed = own.n, 0.0
        if mix := recipe.get("mix"):
            n /= 1 - mix["ratio"]
            mixed = self._images(model, mix["dataset"], self.plan.mixed_store(cell), TRAINING).mb
        n *= 1.1 * (recipe["epochs"] + recipe["schedule"]["cooldown_epochs"])
        each = BACK * (1 + recipe.get("attack", {}).get("steps", 0))
        found = self._pass(own, n, each, recipe["batch_size"] / recipe["accumulate"], "training")
        return found + Load(mb=found.mb + mixed + 20 * own.net.parameters)

    def transfer(self, cell: Any) -> Load:
        """An update per image and epoch, a tenth more for validation; the head takes as much as the backbone."""
        model, recipe = get(cell, "model"), self.plan.recipe(cell)
        own = self._images(model, self.plan.models[model]["dataset"], self.plan.train_store(cell), DENSE)
        n = recipe["iterations"] * recipe["batch_size"] if "iterations" in recipe else own.n * recipe["epochs"]
        if self.plan.has_head(model):  # the network is frozen, and the head small
            found = self._pass(own, 1.1 * n, 1, 2 * recipe["batch_size"])
        else:
            found = self._pass(own, 1.1 * n, 2 * BACK, 2 * recipe["batch_size"], "training")
        return found + Load(mb=found.mb + 40 * own.net.parameters)

    def head(self, cell: Any) -> Load:
        """A pass of every image of an update, or of every image once where they do not change at random."""
        model, recipe = get(cell, "model"), self.plan.head_recipe(cell)
        own = self._images(model, self.plan.models[model]["dataset"], self.plan.train_store(cell), TRAINING)
        changes = recipe["augment"]["random_resized_crop"] or recipe["augment"]["horizontal_flip"]
        n = recipe["steps"] * recipe["batch_size"] if changes else own.n
        kept = 0 if changes else own.n * 4e-6 * 1_500 * (max(recipe["blocks"]) + 1)  # floats of the widest networks
        found = self._pass(own, n, 1.5, recipe["batch_size"])
        return found + Load(mb=found.mb + kept + 1_000)

    def tokens(self, cell: Any) -> Load:
        """An attack on features, unless it is shared, two passes of an update, and features without tokens."""
        recipe = self.plan.tokens_recipe(cell)
        each = 1 if self.plan.shared_attack(cell) else felt(recipe["attack"]) + 2
        return self._updates(cell, recipe, each + 2 * BACK)

    def share_attack(self, cell: Any) -> Load:
        """An attack on features, and features of clean and attacked images."""
        told = self.plan.attack_to_share(cell)
        return self._updates(cell, told, felt(told["attack"]) + 2)

    def _updates(self, cell: Any, recipe: TokensRecipe | SharedAttack, each: float) -> Load:
        """Passes of the images of all updates."""
        model = get(cell, "model")
        own = self._images(model, self.plan.models[model]["dataset"], self.plan.train_store(cell), TRAINING)
        return self._pass(own, recipe["steps"] * recipe["batch_size"], each, recipe["batch_size"], "gradient")
