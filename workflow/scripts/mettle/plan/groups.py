"""Models: where their weights come from, on which data sets they are evaluated, and which are compared."""

from functools import cached_property

from mettle.plan import classes
from mettle.plan.sheets import Sheets


class Groups(Sheets):
    """The models of the sheets, and their groups: models of one data set, threat and eps are compared."""

    @property
    def trained(self) -> list[str]:
        """Models that the workflow trains."""
        return [name for name, row in self.models.items() if row["source"] == "train"]

    @property
    def published(self) -> list[str]:
        """Models whose weights come from a published checkpoint."""
        return [name for name, row in self.models.items() if row["source"] != "train"]

    @cached_property
    def splits(self) -> list[str]:
        """Names of splits over all data sets."""
        return sorted({row[key] for row in self.datasets.values() for key in ("train", "test")} - {""})

    def models_of(self, dataset: str) -> list[str]:
        """Models of a data set, in the order of the sheets; those of sweeps are asked for by their figures."""
        return [name for name, row in self.models.items() if row["dataset"] == dataset and "sweep" not in row]

    def models_of_sweep(self, sweep: str) -> list[str]:
        """Models of a sweep, in the order of its grid."""
        return [name for name, row in self.models.items() if row.get("sweep") == sweep]

    def fits(self, model: str, dataset: str) -> bool:
        """Whether a model can be evaluated on a data set: its own, or one that names its own as `parent`."""
        return self.models[model]["dataset"] in (dataset, self.datasets[dataset].get("parent"))

    def scores(self, model: str, dataset: str) -> bool:
        """Whether a model can be evaluated on a data set, and the labels there are among its classes."""
        own = self.models[model]["dataset"]
        return self.fits(model, dataset) and classes.alike(self.datasets, own, dataset)

    def group(self, model: str) -> tuple[str, str, float]:
        """Data set, threat and eps of a model: models are compared within a group."""
        row = self.models[model]
        return row["dataset"], row["threat"], row["eps"]

    @cached_property
    def _groups(self) -> dict[tuple[str, str, float], list[str]]:
        groups: dict[tuple[str, str, float], list[str]] = {}
        for name, row in self.models.items():
            if "sweep" not in row:
                groups.setdefault(self.group(name), []).append(name)
        return groups

    def above(self, model: str) -> list[str]:
        """Models that a model is compared with: those of its group above it in the sheet.

        Each unordered pair is thus made once, and a model added at the end of the sheet costs one cell.
        """
        members = self._groups.get(self.group(model), [])
        return members[: members.index(model)] if model in members else []
