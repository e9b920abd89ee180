"""Images of a training: those trained on, their order, and those held out."""

import numpy as np

from mettle.data.classes import differ
from mettle.data.loading import ImageSet, Mixture, blended, shuffled
from mettle.data.sample import subset
from mettle.data.store import Store, check_labels
from mettle.typed import ModelRow, Recipe


class Images:
    """Training and held-out images of a recipe.

    Parameters
    ----------
    row : row of the model, with `classes`; its seed is that of the random changes and the order
    recipe : the recipe
    train, test : stores
    mixed : store of the recipe's `mix`
    views : of each training image

    Attributes
    ----------
    train, test : image sets
    tested : positions of the held-out images in `test`
    attacked : positions of those that robust accuracy is measured on
    class_names : names of the classes in the order of the labels, as the training images have them

    Raises
    ------
    ValueError
        If nothing is left to train on, a label is out of range or means different classes in two stores, or only one
        of the recipe's `mix` and its store is given.
    """

    def __init__(
        self, row: ModelRow, recipe: Recipe, train: Store, test: Store, mixed: Store | None, views: int = 1
    ) -> None:
        if recipe["holdout"] >= len(train):
            raise ValueError(f"holdout: {recipe['holdout']} of {len(train)} training images leaves none to train on")
        if ("mix" in recipe) != (mixed is not None):
            raise ValueError("a second store of training images goes with the recipe's `mix`, and only with it")
        self.recipe, self.seed, self.class_names = recipe, row["seed"], train.class_names
        self.stores = [store for store in (train, test, mixed) if store is not None]
        for store in self.stores:
            check_labels(store, row["classes"])
            _check_names(store, train)
        size = {key: recipe["input"][key] for key in ("size", "resize", "interpolation")}
        held = subset(len(train), recipe["holdout"], "holdout")
        self.kept = np.setdiff1d(np.arange(len(train)), held)
        self.tested = held if len(held) else np.arange(len(test))
        self.attacked = self.tested[subset(len(self.tested), recipe["validation"]["images"], "validation")]
        self.test = ImageSet(train if len(held) else test, **size)
        size |= {"augment": recipe["augment"], "seed": self.seed, "views": views}
        self.train: ImageSet | Mixture = ImageSet(train, **size)
        if mixed is not None:
            self.train = Mixture(self.train, ImageSet(mixed, **size))

    @property
    def digests(self) -> list[str]:
        """Hashes over the images of each store."""
        return [store.digest for store in self.stores]

    def order(self, epoch: int) -> list[np.ndarray]:
        """Positions in `train` of the batches of an epoch, over all processes."""
        size = self.recipe["batch_size"]
        if not isinstance(self.train, Mixture):
            return [self.kept[part] for part in shuffled(len(self.kept), size, self.seed, epoch)]
        first, second = map(len, self.train.parts)
        positions = np.concatenate([self.kept, first + np.arange(second)])
        found = blended(len(self.kept), second, size, self.recipe["mix"]["ratio"], self.seed, epoch)
        return [positions[part] for part in found]


def _check_names(store: Store, train: Store) -> None:
    if difference := differ(train.class_names, store.class_names):
        raise ValueError(f"{train.path}: {difference} in {store.path}: the two number their classes differently")
