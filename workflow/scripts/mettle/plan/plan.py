"""The plan: the answers that rules ask of configuration, sheets and recipes."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mettle.plan import extras
from mettle.plan.figures import FIGURES
from mettle.plan.jobs import Jobs
from mettle.plan.sheets import Row
from mettle.plan.stores import get
from mettle.plan.studies import Study, told


class Plan(Jobs):
    """Which models, cells and figures exist, and the inputs and params of each job.

    Parameters
    ----------
    config : the mapping read from config/config.yaml and its overlays
    workflow : Snakemake's, for how jobs run; unknown without it

    Raises
    ------
    ValueError
        One sentence that names the file and the key or row that is wrong.
    """

    def __init__(self, config: Mapping[str, Any], workflow: Any = None) -> None:
        super().__init__(config)
        self._options: dict[str, Row] = {}  # of the figures that were asked for, checked
        self.conda = bool(workflow and workflow.deployment_settings.deployment_method)
        self.here = bool(workflow) and workflow.resource_settings.nodes is None
        for logger in self.config["train"]["loggers"]:
            extras.need(logger, f"configuration: train.loggers: '{logger}'", conda=self.conda)

    def targets(self, figures: Iterable[str] | None = None) -> list[str]:
        """Everything that the configuration asks for, or the files of some of its figures."""
        return [path for figure in figures or self.config["figures"] for path in self.files_of(figure)]

    def files_of(self, figure: str) -> list[str]:
        """The table of a figure, and its drawing where it has one.

        Raises
        ------
        ValueError
            If the configuration lists no such figure.
        """
        self.known(figure, self.config["figures"], "figure", "configuration: figures")
        drawing = [f"{self.results}/figures/{figure}.pdf"] if FIGURES[figure].draw else []
        return [*drawing, f"{self.results}/tables/{figure}.parquet"]

    # Figures

    def checked(self, figure: str) -> Row:
        """Options of a figure, and the set that it compares; empty if it is not configured.

        A figure is checked when it is asked for: your own sheets need not have the models of all others.

        Raises
        ------
        ValueError
            If they do not fit sheets and other blocks.
        """
        if figure not in self._options and figure in self.config["figures"]:
            where, options = f"configuration: figures.{figure}", self.config["figures"][figure]
            if models := options.get("models"):
                self.known_models(models, f"{where}.models")
            if "models" in options:
                options = options | {"set": self.set_of(figure)}
                options["models"] = models and list(self.sets[options["set"]].models)
            FIGURES[figure].check(self, options, where)
            self._options[figure] = options
        return self._options.get(figure, {})

    def cells(self, figure: Any) -> list[str]:
        """Files that the table of a figure, a name or wildcards, is made from; none if it is not configured."""
        options = self.checked(_figure(figure))
        return FIGURES[_figure(figure)].cells(self, options) if options else []

    def beside(self, figure: Any) -> list[str]:
        """Other files that the table of a figure is made from: published values, images."""
        options = self.checked(_figure(figure))
        return FIGURES[_figure(figure)].beside(self, options) if options else []

    def figure(self, figure: Any) -> Row:
        """Options of a figure and further params of its job; empty if it is not configured."""
        options = self.checked(_figure(figure))
        told = options | FIGURES[_figure(figure)].told(self, options) if options else {}
        return {key: value for key, value in told.items() if key != "set"}  # in the paths of its cells

    def seed_of_figure(self, figure: Any) -> int | None:
        """The seed, if the table of a figure needs random numbers, for intervals over models or tests."""
        return self.config["seed"] if FIGURES[_figure(figure)].draws else None

    @staticmethod
    def labels(wildcards: Any) -> dict[str, str]:
        """Label of a figure or its table in the report.

        Only one: with two labels and two figures, Snakemake's report has a switch that fails when it is used.
        """
        figure = _figure(wildcards)
        number = figure.removeprefix("fig")
        if number == figure:
            return {"shows": FIGURES[figure].shows}
        # The report sorts labels as text; U+2007 is a space as wide as a digit.
        return {"shows": f"{number.rjust(2, chr(0x2007))}  {FIGURES[figure].shows}"}

    @staticmethod
    def caption(wildcards: Any) -> str:
        """Caption of a figure or table in the report, in reStructuredText."""
        return (Path(__file__).parents[3] / "report" / f"{_figure(wildcards)}.rst").read_text(encoding="utf-8")

    @property
    def studies(self) -> list[tuple[Study, str]]:
        """Studies of which the configuration shows figures or tables, with these in words."""
        return told(self.config["figures"])

    @property
    def drawn(self) -> list[str]:
        """Figures that have a drawing."""
        return [figure for figure, about in FIGURES.items() if about.draw]

    @property
    def tabulated(self) -> list[str]:
        """Figures and summary tables of the configuration."""
        return list(self.config["figures"])


def _figure(asked: Any) -> str:
    return asked if isinstance(asked, str) else get(asked, "figure")
