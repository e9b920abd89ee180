"""Work of the jobs that evaluate models: attacks, corruptions, inversion, features."""

import math
from dataclasses import replace
from typing import Any

from mettle.plan import corrupted
from mettle.plan.loads import BACK, Images, Load, count, mb, passes
from mettle.plan.sheets import CLASSIFICATION
from mettle.plan.stores import get
from mettle.plan.work.passes import CORRUPT, HELD_OUT, LAYERS, SMALL, TRAINING, Passes, felt
from mettle.units import sides


class Evaluations(Passes):
    """Passes through networks that are made."""

    def drift(self, cell: Any) -> Load:
        """An attack on features, and passes of three models that compare them."""
        images, options = self.config["drift"]["images"], self.plan.drifts[get(cell, "drift")]
        held = self._images(get(cell, "model"), get(cell, "dataset"), self.plan.test_store(cell), HELD_OUT)
        found = self._pass(
            held, min(held.n, images or held.n), felt(options) + 5, self.config["drift"]["batch_size"], "gradient"
        )
        return found + Load(mb=found.mb + 24 * held.net.parameters)

    def activations(self, cell: Any) -> Load:
        """As `drift`, with passes of two models instead of three."""
        return self.drift(cell)

    def attack(self, cell: Any) -> Load:
        """The attack, and the passes that judge its result."""
        options = self.plan.attack(cell)
        return self._attacked(cell, passes(options), options["images"])

    def pictures(self, cell: Any) -> Load:
        """The attack on some images."""
        return self._attacked(cell, passes(self.plan.attack(cell)), self.config["attack"]["pictures"])

    def perturb(self, cell: Any) -> Load:
        """An attack on some images."""
        return self._attacked(cell, passes(self.plan.attack(cell)), self.config["attack"]["perturbations"]["images"])

    def corrupt(self, cell: Any) -> Load:
        """Every image corrupted in every way, and a pass of each."""
        options = self.plan.corruptions[get(cell, "corruptions")]
        held = self._images(get(cell, "model"), get(cell, "dataset"), self.plan.clean_store(cell), HELD_OUT)
        n = min(held.n, options["images"] or held.n) * len(corrupted.conditions(options))
        found = self._pass(replace(held, kept=False), n, 1, self.config["corrupt"]["batch_size"])
        area = math.prod(sides(self._input(get(cell, "model"))["size"]))
        return found + Load(seconds=0 if options["stored"] else n * area * CORRUPT, mb=found.mb + 500)

    def corrupted(self, cell: Any) -> Load:
        """Every image corrupted in one way and written."""
        row = self.plan.datasets[get(cell, "dataset")]
        n = count(self.plan.held_out(cell), HELD_OUT // SMALL if row["size"] else HELD_OUT)
        n = min(n, self.plan.corruption_sets[get(cell, "corruptions")]["images"] or n)
        return Load(seconds=60 + n * (row["size"] or 500) ** 2 * 2 * CORRUPT, mb=1_000)

    def robustness(self, cell: Any) -> Load:
        """Reading every cell, and scores of bootstrap samples."""
        conditions = corrupted.conditions(self.plan.corruption_sets[get(cell, "corruptions")])
        return Load(seconds=60 + 10 * len(conditions), mb=4_000)

    def examples(self, cell: Any) -> Load:
        """Some images corrupted in every way."""
        return Load(seconds=120 * self.config["corrupt"]["examples"], mb=1_000)

    def effectiveness(self, cell: Any) -> Load:
        """PGD with every number of steps and every seed, and Auto-PGD, on every checkpoint."""
        options = self.config["attack"]["effectiveness"]
        each = options["seeds"] * sum(BACK * steps + 1 for steps in options["steps"])
        if own := options["apgd"]:
            each += own["restarts"] * (BACK * own["steps"] + 1)
        kept = self.plan.kept_weights(cell).endswith("/checkpoints")
        checkpoints = len(self.plan.recipe(cell)["checkpoints"]) if kept else 1
        return sum([self._attacked(cell, each, options["images"])] * checkpoints, Load())

    def convergence(self, cell: Any) -> Load:
        """The longest PGD for every seed, after a search for correctly classified images."""
        options = self.config["attack"]["convergence"]
        each = options["seeds"] * (BACK + 1) * max(options["steps"])
        return self._attacked(cell, each, options["images"]) + self._attacked(cell, 1, None)

    def _attacked(self, cell: Any, each: float, images: int | None) -> Load:
        """Passes of every image; the head of a dense task takes as much as the backbone."""
        model = get(cell, "model")
        held = self._images(model, get(cell, "dataset"), self.plan.scored_store(cell), HELD_OUT)
        parts = 1 if self.plan.task_of(model) == CLASSIFICATION else 2
        n, batch = min(held.n, images or held.n), self.config["attack"]["batch_size"]
        return self._pass(held, n, parts * (each + 3), parts * batch, "gradient")

    def semantics(self, cell: Any) -> Load:
        """One pass of the perturbations through each judge."""
        n, batch = self.config["attack"]["perturbations"]["images"], self.config["attack"]["batch_size"]
        return sum((self._pass(self._made(judge, n), n, 1, batch) for judge in self.plan.judges(cell)), Load())

    def invert(self, cell: Any) -> Load:
        """A forward and a backward pass per step."""
        options = self.config["invert"]
        held = self._images(get(cell, "model"), get(cell, "dataset"), self.plan.test_store(cell), HELD_OUT)
        n = min(held.n, options["images"])
        return self._pass(held, n, BACK * options["steps"] + 5, options["batch_size"], "gradient")

    def take_inverted(self, cell: Any) -> Load:
        """Some forward passes for the losses; the images of the file are in memory, in one or two number types."""
        options = self.config["invert"]
        held = self._images(get(cell, "model"), get(cell, "dataset"), self.plan.test_store(cell), HELD_OUT)
        n = min(held.n, options["images"])
        found = self._pass(held, n, 8, options["batch_size"])
        return found + Load(mb=found.mb + 3 * mb(n, held.net.size**2 * 3))

    def represent(self, cell: Any) -> Load:
        """One forward pass, and writing its results."""
        images, model = get(cell, "images"), get(cell, "model")
        if images.startswith("inverted-"):
            return self._represented(self._made(model, self.config["invert"]["images"]))
        most = TRAINING if images == "train" else HELD_OUT
        found = self._images(model, get(cell, "dataset"), self.plan.image_set(cell), most)
        return self._represented(found, self.plan.sample(cell))

    def layers(self, cell: Any) -> Load:
        """One forward pass, and the vectors of all layers in memory."""
        model = get(cell, "model")
        held = self._images(model, get(cell, "dataset"), self.plan.plain_store(cell), HELD_OUT)
        n = min(held.n, self.config["represent"]["sample"])
        found = self._pass(held, n, 1, self.config["represent"]["batch_size"])
        vectors = LAYERS * mb(n, held.net.features)
        return found + Load(seconds=vectors / 50, mb=found.mb + 2 * vectors)

    def cross(self, cell: Any) -> Load:
        """Two passes of inverted images per model above: through it, and through the model itself."""
        n = self.config["invert"]["images"]
        both = ((get(cell, "model"), other) for other in self.plan.names_above(cell))
        return sum((self._represented(self._made(model, n)) for pair in both for model in pair), Load())

    def _represented(self, images: Images, sample: int | None = None) -> Load:
        n, answers = min(images.n, sample or images.n), 1_000 + images.net.features
        found = self._pass(images, n, 1, self.config["represent"]["batch_size"])
        return found + Load(seconds=n * answers * 4 / 50e6, mb=found.mb + 6 * mb(min(n, 2_500), answers))

    def probe(self, cell: Any) -> Load:
        """All probes together on the features of the training images, which are read every epoch."""
        options, net = self.config["probe"], self._network(get(cell, "model"))
        n = count(self.plan.store(get(cell, "dataset"), "train"), TRAINING) * (options["epochs"] + 1)
        weights = options["probes"] * net.features * self.plan.classes(cell)
        held = 2 * mb(min(n, options["buffer"]), net.features)
        return Load(n * 2 * BACK * weights / 1e9, 0, n * net.features * 4 / 200e6, held + 16 * weights / 1e6)
