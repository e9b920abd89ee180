"""Inputs and params of the rules that look into networks, layer by layer."""

from typing import Any

from mettle.plan import layers
from mettle.plan.cells import Cells
from mettle.plan.stores import get


class Layers(Cells):
    """Input and params functions of these rules."""

    def plain_store(self, wildcards: Any) -> list[str]:
        """As `test_store`, of classifiers and networks without a head alone.

        Raises
        ------
        ValueError
            As `test_store` does, or for a model of a dense task.
        """
        self.known_plain(get(wildcards, "model"))
        return self.test_store(wildcards)

    def named_layers(self, wildcards: Any) -> list[str] | None:
        """Layers of a model that the configuration names; None for those that its job finds.

        Raises
        ------
        ValueError
            If it names layers for something else than models and their architectures.
        """
        layers.check(self.config, self.models)
        return layers.named(self.config, self.models[get(wildcards, "model")])
