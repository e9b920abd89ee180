"""The work of each job, from rows and configuration: passes through networks, images to decode, scores."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mettle.plan import corrupted, costs
from mettle.plan.cells import get
from mettle.plan.loads import BACK, Images, Load, count, mb, passes
from mettle.plan.sheets import CLASSIFICATION
from mettle.typed import FeatureAttack, SharedAttack, TokensRecipe
from mettle.units import sides

if TYPE_CHECKING:
    from mettle.plan.plan import Plan

Row = dict[str, Any]

# Images of a split that is not packed yet: as many as ImageNet; a fifth where all have one size, which is small.
_HELD_OUT, _TRAINING = 50_000, 1_281_167
_DENSE = 118_287  # training images of COCO
_SMALL = 5
_LAYERS = 25  # of a network, each as wide as its last
_CORRUPT = 5e-8  # seconds for a pixel, mean over the benchmark's corruptions


def _felt(options: FeatureAttack) -> float:
    """Forward passes that an attack on features is worth per image."""
    return options["restarts"] * (BACK * options["steps"] + 1) + 2


class Work:
    """The work of the jobs of every rule; methods have the names of the rules and take a job's wildcards.

    Parameters
    ----------
    plan : configuration, sheets and recipes
    """

    def __init__(self, plan: "Plan") -> None:
        self.plan, self.config = plan, plan.config

    # Packing and weights

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

    def train(self, cell: Any) -> Load:
        """An attack and an update per image and epoch, and a tenth more for validation."""
        model, recipe = get(cell, "model"), self.plan.recipe(cell)
        own = self._images(model, self.plan.models[model]["dataset"], self.plan.train_store(cell), _TRAINING)
        n, mixed = own.n, 0.0
        if mix := recipe.get("mix"):
            n /= 1 - mix["ratio"]
            mixed = self._images(model, mix["dataset"], self.plan.mixed_store(cell), _TRAINING).mb
        n *= 1.1 * (recipe["epochs"] + recipe["schedule"]["cooldown_epochs"])
        each = BACK * (1 + recipe.get("attack", {}).get("steps", 0))
        found = self._pass(own, n, each, recipe["batch_size"] / recipe["accumulate"], "training")
        return found + Load(mb=found.mb + mixed + 20 * own.net.parameters)

    def transfer(self, cell: Any) -> Load:
        """An update per image and epoch, a tenth more for validation; the head takes as much as the backbone."""
        model, recipe = get(cell, "model"), self.plan.recipe(cell)
        own = self._images(model, self.plan.models[model]["dataset"], self.plan.train_store(cell), _DENSE)
        n = recipe["iterations"] * recipe["batch_size"] if "iterations" in recipe else own.n * recipe["epochs"]
        if self.plan.has_head(model):  # the network is frozen, and the head small
            found = self._pass(own, 1.1 * n, 1, 2 * recipe["batch_size"])
        else:
            found = self._pass(own, 1.1 * n, 2 * BACK, 2 * recipe["batch_size"], "training")
        return found + Load(mb=found.mb + 40 * own.net.parameters)

    def head(self, cell: Any) -> Load:
        """A pass of every image of an update, or of every image once where they do not change at random."""
        model, recipe = get(cell, "model"), self.plan.head_recipe(cell)
        own = self._images(model, self.plan.models[model]["dataset"], self.plan.train_store(cell), _TRAINING)
        changes = recipe["augment"]["random_resized_crop"] or recipe["augment"]["horizontal_flip"]
        n = recipe["steps"] * recipe["batch_size"] if changes else own.n
        kept = 0 if changes else own.n * 4e-6 * 1_500 * (max(recipe["blocks"]) + 1)  # floats of the widest networks
        found = self._pass(own, n, 1.5, recipe["batch_size"])
        return found + Load(mb=found.mb + kept + 1_000)

    def tokens(self, cell: Any) -> Load:
        """An attack on features, unless it is shared, two passes of an update, and features without tokens."""
        recipe = self.plan.tokens_recipe(cell)
        each = 1 if self.plan.shared_attack(cell) else _felt(recipe["attack"]) + 2
        return self._updates(cell, recipe, each + 2 * BACK)

    def share_attack(self, cell: Any) -> Load:
        """An attack on features, and features of clean and attacked images."""
        told = self.plan.attack_to_share(cell)
        return self._updates(cell, told, _felt(told["attack"]) + 2)

    def _updates(self, cell: Any, recipe: TokensRecipe | SharedAttack, each: float) -> Load:
        """Passes of the images of all updates."""
        model = get(cell, "model")
        own = self._images(model, self.plan.models[model]["dataset"], self.plan.train_store(cell), _TRAINING)
        return self._pass(own, recipe["steps"] * recipe["batch_size"], each, recipe["batch_size"], "gradient")

    # Passes through networks

    def drift(self, cell: Any) -> Load:
        """An attack on features, and passes of three models that compare them."""
        images, options = self.config["drift"]["images"], self.plan.drifts[get(cell, "drift")]
        held = self._images(get(cell, "model"), get(cell, "dataset"), self.plan.test_store(cell), _HELD_OUT)
        found = self._pass(
            held, min(held.n, images or held.n), _felt(options) + 5, self.config["drift"]["batch_size"], "gradient"
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
        held = self._images(get(cell, "model"), get(cell, "dataset"), self.plan.clean_store(cell), _HELD_OUT)
        n = min(held.n, options["images"] or held.n) * len(corrupted.conditions(options))
        found = self._pass(replace(held, kept=False), n, 1, self.config["corrupt"]["batch_size"])
        area = math.prod(sides(self._input(get(cell, "model"))["size"]))
        return found + Load(seconds=0 if options["stored"] else n * area * _CORRUPT, mb=found.mb + 500)

    def corrupted(self, cell: Any) -> Load:
        """Every image corrupted in one way and written."""
        row = self.plan.datasets[get(cell, "dataset")]
        n = count(self.plan.held_out(cell), _HELD_OUT // _SMALL if row["size"] else _HELD_OUT)
        n = min(n, self.plan.corruption_sets[get(cell, "corruptions")]["images"] or n)
        return Load(seconds=60 + n * (row["size"] or 500) ** 2 * 2 * _CORRUPT, mb=1_000)

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
        held = self._images(model, get(cell, "dataset"), self.plan.scored_store(cell), _HELD_OUT)
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
        held = self._images(get(cell, "model"), get(cell, "dataset"), self.plan.test_store(cell), _HELD_OUT)
        n = min(held.n, options["images"])
        return self._pass(held, n, BACK * options["steps"] + 5, options["batch_size"], "gradient")

    def take_inverted(self, cell: Any) -> Load:
        """Some forward passes for the losses; the images of the file are in memory, in one or two number types."""
        options = self.config["invert"]
        held = self._images(get(cell, "model"), get(cell, "dataset"), self.plan.test_store(cell), _HELD_OUT)
        n = min(held.n, options["images"])
        found = self._pass(held, n, 8, options["batch_size"])
        return found + Load(mb=found.mb + 3 * mb(n, held.net.size**2 * 3))

    def represent(self, cell: Any) -> Load:
        """One forward pass, and writing its results."""
        images, model = get(cell, "images"), get(cell, "model")
        if images.startswith("inverted-"):
            return self._represented(self._made(model, self.config["invert"]["images"]))
        most = _TRAINING if images == "train" else _HELD_OUT
        found = self._images(model, get(cell, "dataset"), self.plan.image_set(cell), most)
        return self._represented(found, self.plan.sample(cell))

    def layers(self, cell: Any) -> Load:
        """One forward pass, and the vectors of all layers in memory."""
        model = get(cell, "model")
        held = self._images(model, get(cell, "dataset"), self.plan.plain_store(cell), _HELD_OUT)
        n = min(held.n, self.config["represent"]["sample"])
        found = self._pass(held, n, 1, self.config["represent"]["batch_size"])
        vectors = _LAYERS * mb(n, held.net.features)
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
        n = count(self.plan.store(get(cell, "dataset"), "train"), _TRAINING) * (options["epochs"] + 1)
        weights = options["probes"] * net.features * self.plan.classes(cell)
        held = 2 * mb(min(n, options["buffer"]), net.features)
        return Load(n * 2 * BACK * weights / 1e9, 0, n * net.features * 4 / 200e6, held + 16 * weights / 1e6)

    # Comparisons

    def compare(self, cell: Any) -> Load:
        """Per earlier model a score, scores of random orders of its images, and one of independent features."""
        options = self.config["compare"]
        return self._scores(cell, 1 + options["permutations"] + options["floor"])

    def subgroups(self, cell: Any) -> Load:
        """Per earlier model two parts, and draws from the larger one."""
        return self._scores(cell, 2 + self.config["compare"]["draws"])

    def _scores(self, cell: Any, each: int) -> Load:
        n, above, measure = self._compared(cell), self.plan.names_above(cell), self.plan.measure(cell)
        both = 2  # orders of a pair, or pairs per earlier model on inverted images
        width = max(self._network(name).features for name in (get(cell, "model"), *above))
        score = costs.score(measure["method"], n, width, measure)
        return Load(seconds=both * each * len(above) * score.seconds, mb=score.mb)

    def compare_layers(self, cell: Any) -> Load:
        """A score per layer and layer, with all layers of the second model in memory."""
        n, measure = self.config["represent"]["sample"], self.plan.measure(cell)
        width = max(self._network(get(cell, key)).features for key in ("model", "model_b"))
        score = costs.score(measure["method"], n, width, measure)
        return Load(seconds=_LAYERS**2 * score.seconds, mb=_LAYERS * score.mb)

    def agree(self, cell: Any) -> Load:
        """Predictions of every pair, in double precision."""
        answers = mb(self._compared(cell), 1_000)
        return Load(seconds=2 * len(self.plan.names_above(cell)) * answers / 50, mb=10 * answers)

    def _compared(self, cell: Any) -> int:
        """Images that models are compared on."""
        return (
            self.config["invert"]["images"] if get(cell, "images") == "inverted" else self.config["represent"]["sample"]
        )

    # The rest, which takes minutes

    def pair(self, cell: Any) -> Load:
        """The manifest of a split."""
        return Load(seconds=60, mb=500)

    pair_listed = pair

    def probe_agree(self, cell: Any) -> Load:
        """Predictions of every pair."""
        return Load(seconds=60 + len(self.plan.names_above(cell)), mb=1_000)

    def tabulate_figure(self, cell: Any) -> Load:
        """Reading every cell once, and intervals over models."""
        return Load(seconds=300 + 0.2 * len(self.plan.cells(cell)), mb=2_000)

    def figure(self, cell: Any) -> Load:
        """One drawing."""
        return Load(seconds=60, mb=1_000)

    def publish(self, cell: Any) -> Load:
        """Every image of a data set copied."""
        return Load(seconds=count(self.plan.stores(cell), _TRAINING) / 200, mb=2_000)

    def dinov2_arrays(self, cell: Any) -> Load:
        """The names of all files."""
        return Load(seconds=300, mb=2_000)

    def mmseg_folders(self, cell: Any) -> Load:
        """Every image of a data set copied."""
        return Load(seconds=3_000, mb=500)

    def publish_perturbed(self, cell: Any) -> Load:
        """Some images copied."""
        return Load(seconds=60 + self.config["attack"]["perturbations"]["images"] / 50, mb=2_000)

    # Images in front of a network

    def _network(self, model: str) -> costs.Network:
        area = math.prod(sides(self._input(model)["size"]))
        return costs.network(self.plan.models[model]["arch"], round(math.sqrt(area)))

    def _input(self, model: str) -> Row:
        return self.plan.preprocessing({"model": model})["input"]

    def _images(self, model: str, dataset: str, stores: Sequence[str], otherwise: int) -> Images:
        """Images of a split for a model: those that are packed, or `otherwise` if none are yet."""
        size = self.plan.datasets[dataset]["size"]
        n = count(stores, otherwise // _SMALL if size else otherwise)
        return Images(n, size, self._network(model), self._input(model)["resize"] is None)

    def _made(self, model: str, n: int) -> Images:
        """Images that jobs have made, of the size that a model takes."""
        net = self._network(model)
        return Images(n, net.size, net, self._input(model)["resize"] is None)

    def _pass(self, images: Images, n: float, each: float, batch: float, kind: str = "forward") -> Load:
        """A number of images, each worth a number of forward passes."""
        net, taken = images.net, min(n, batch)
        return Load(
            gflop=n * each * net.gflop,
            decoded=n * images.photographs,
            mb=images.mb + 12 * net.parameters,
            passing=taken * getattr(net, kind),
            batch=0 if images.kept else mb(taken, net.size**2 * 3),
        )
