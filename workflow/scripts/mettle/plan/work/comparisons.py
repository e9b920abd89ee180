"""Work of the jobs that compare features, and of all that take minutes."""

from typing import Any

from mettle.plan import costs
from mettle.plan.loads import Load, count, mb
from mettle.plan.stores import get
from mettle.plan.work.passes import LAYERS, TRAINING, Passes


class Comparisons(Passes):
    """Comparisons, tables and figures."""

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
        return Load(seconds=LAYERS**2 * score.seconds, mb=LAYERS * score.mb)

    def agree(self, cell: Any) -> Load:
        """Predictions of every pair, in double precision."""
        answers = mb(self._compared(cell), 1_000)
        return Load(seconds=2 * len(self.plan.names_above(cell)) * answers / 50, mb=10 * answers)

    def _compared(self, cell: Any) -> int:
        """Images that models are compared on."""
        return (
            self.config["invert"]["images"] if get(cell, "images") == "inverted" else self.config["represent"]["sample"]
        )

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

    def model_card(self, cell: Any) -> Load:
        """Reading every table of a model."""
        return Load(seconds=120, mb=2_000)

    def leaderboard(self, cell: Any) -> Load:
        """The same of all models."""
        return Load(seconds=120 + 10 * len(self.plan.models), mb=4_000)

    def publish(self, cell: Any) -> Load:
        """Every image of a data set copied."""
        return Load(seconds=count(self.plan.stores(cell), TRAINING) / 200, mb=2_000)

    def dinov2_arrays(self, cell: Any) -> Load:
        """The names of all files."""
        return Load(seconds=300, mb=2_000)

    def mmseg_folders(self, cell: Any) -> Load:
        """Every image of a data set copied."""
        return Load(seconds=3_000, mb=500)

    def publish_perturbed(self, cell: Any) -> Load:
        """Some images copied."""
        return Load(seconds=60 + self.config["attack"]["perturbations"]["images"] / 50, mb=2_000)
