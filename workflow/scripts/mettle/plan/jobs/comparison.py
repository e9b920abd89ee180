"""Inputs and params of comparisons and probes."""

from collections.abc import Callable
from typing import Any

from mettle.plan import engines, extras
from mettle.plan.cells import Cells
from mettle.plan.sheets import Row
from mettle.plan.stores import get
from mettle.scales import enough_draws


class Comparison(Cells):
    """Input and params functions of the rules that compare models."""

    conda: bool  # whether jobs get environments of their own
    here: bool  # whether they run on this machine

    def each_above(self, path: str) -> Callable[[Any], list[str]]:
        """Input function: a path with wildcards, for each model before that of the job in its set."""

        def paths(wildcards: Any) -> list[str]:
            self.test_store(wildcards)  # raises for a model that cannot be evaluated on the data set
            return [
                path.format(dataset=get(wildcards, "dataset"), model=other) for other in self.names_above(wildcards)
            ]

        return paths

    @property
    def seed_of_scores(self) -> int | None:
        """The seed, if random numbers are needed for a score: permuted images, or independent features."""
        options = self.config["compare"]
        return self.config["seed"] if options["permutations"] or options["floor"] else None

    @property
    def level_of_scores(self) -> float | None:
        """The level that scores are calibrated at, if there are permutations enough for it."""
        options = self.config["compare"]
        return options["level"] if enough_draws(options["permutations"], options["level"]) else None

    def represented_for_gpu(self, wildcards: Any) -> list[str]:
        """As `represented`, for a measure whose engine computes on a GPU.

        Raises
        ------
        ValueError
            If the engine cannot run.
        """
        name = get(wildcards, "measure")
        if lack := engines.lacks(self.measures[name]["engine"], conda=self.conda, here=self.here):
            raise ValueError(f"measure '{name}': {lack}")
        return self.represented(wildcards)

    @property
    def on_gpu(self) -> list[str]:
        """Measures whose engine computes on a GPU."""
        return engines.on_gpu(self.measures)

    @property
    def on_cpu(self) -> list[str]:
        """The other measures."""
        return [name for name in self.measures if name not in self.on_gpu]

    def measure(self, wildcards: Any) -> Row:
        """Method and options of a measure, defaults filled in; ValueError if its engine is not installed."""
        name = get(wildcards, "measure")
        engine = self.measures[name].get("engine", "auto")
        extras.need(engine, f"measure '{name}': engine '{engine}'", conda=self.conda)
        return self.measures[name]

    def pairs(self, wildcards: Any) -> Row:
        """Key columns of a cell of compared models: norm and eps of the models of its set; null if they differ."""
        if self.sets[get(wildcards, "set")].across:
            return {"norm": None, "eps": None}
        return self.keys_of(get(wildcards, "model"))

    def classes(self, wildcards: Any) -> int:
        """Number of classes of a data set."""
        return self.datasets[get(wildcards, "dataset")]["classes"]
