"""Files that exist of a model, whatever asked for them; pages about models are made from these and force no others."""

import hashlib
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from mettle.plan.cells import Cells
from mettle.plan.sheets import Row
from mettle.plan.stores import get

# Files that are of one model, by stage, below the folder of results.
_OWN = {
    "attack": "attack/*/{model}/*.parquet",
    "robustness": "robustness/*/{model}/*.parquet",
    "drift": "drift/*/{model}/*.parquet",
    "pictures": "pictures/*/{model}/*.parquet",
    "perturb": "perturb/adversarial/*/{model}/*.parquet",
    "invert": "invert/*/{model}.parquet",
    "corrupt": "corrupt/*/{model}/*.parquet",
}
_EXAMPLES = "corrupted/*/*/examples.parquet"  # of data sets
# Those of a model and the models before it in a set; the second is between the stage and the set.
_SHARED = {"compare": "compare/*/{set}/*/*/*.parquet", "agree": "agree/*/{set}/*/*.parquet"}
SCORED = ("attack", "robustness", "drift", "compare", "agree")
SHOWN = ("pictures", "perturb", "invert", "corrupt")


class Made(Cells):
    """Params and inputs of pages about models."""

    cells: Callable[[Any], list[str]]  # of a figure

    def existing(self, model: str, stages: Iterable[str]) -> dict[str, list[str]]:
        """Files of a model by stage: those that exist, and with `cards.complete` those that figures ask for."""
        asked = self._asked(model) if self.config["cards"]["complete"] else []
        found = {}
        for stage in stages:
            there = self._own(stage, model) if stage in _OWN else self._pairs(stage, model)
            more = [path for path in asked if path.startswith(f"{self.results}/{stage}/")]
            found[stage] = sorted({*there, *more})
        return found

    def _own(self, stage: str, model: str) -> list[str]:
        return self._found(_OWN[stage].format(model=model))

    def _found(self, form: str) -> list[str]:
        return [str(path) for path in Path(self.results).glob(form)]

    def _pairs(self, stage: str, model: str) -> list[str]:
        """Files of the model, and of those after it in its sets, which are compared with it."""
        found = []
        for name, one in self.sets.items():
            if model in one.models:
                after = one.models[one.models.index(model) :]
                found += [path for other in after for path in self._by_pair.get((stage, name, other), [])]
        return found

    @cached_property
    def _by_pair(self) -> dict[tuple[str, str, str], list[str]]:
        """Files of pairs by stage, set and model."""
        found: dict[tuple[str, str, str], list[str]] = {}
        for stage, form in _SHARED.items():
            for name in self.sets:
                for path in self._found(form.format(set=name)):
                    found.setdefault((stage, name, Path(path).stem), []).append(path)
        return found

    def _asked(self, model: str) -> list[str]:
        """Files of a model that the figures of the configuration are made from."""
        return [path for path in self._cells_of_figures if model in _names(path)]

    @cached_property
    def _cells_of_figures(self) -> list[str]:
        """Cells of every figure that fits the sheets."""
        found: dict[str, None] = {}
        for figure in self.config["figures"]:
            try:
                found |= dict.fromkeys(self.cells(figure))
            except ValueError:  # a figure of models that these sheets do not have; who asks for it is told
                continue
        return list(found)

    # Params

    def completing(self, wildcards: Any) -> list[str]:
        """Inputs of a model's card: none, or with `cards.complete` all that figures ask for."""
        return self._asked(get(wildcards, "model")) if self.config["cards"]["complete"] else []

    def completing_all(self, wildcards: Any) -> list[str]:
        """The same of the leaderboard."""
        return [path for model in self.ranked if self.config["cards"]["complete"] for path in self._asked(model)]

    @property
    def ranked(self) -> list[str]:
        """Models of the leaderboard: those of the sheets, without those of sweeps."""
        return [name for name, row in self.models.items() if "sweep" not in row]

    def card_files(self, wildcards: Any) -> dict[str, list[str]]:
        """Files that the card of a model is made from, by stage."""
        found = self.existing(get(wildcards, "model"), (*SCORED, *SHOWN))
        corrupted = {Path(path).parts[-3] for path in found["corrupt"]}
        return found | {
            "examples": [path for path in sorted(self._found(_EXAMPLES)) if Path(path).parts[-3] in corrupted]
        }

    def card_state(self, wildcards: Any) -> str:
        """Digest of names, sizes and times of these files: another one makes the card again."""
        return _state(path for paths in self.card_files(wildcards).values() for path in paths)

    def ranked_files(self, wildcards: Any) -> dict[str, dict[str, list[str]]]:
        """Files with scores by model and stage, of models that have any."""
        found = {model: self.existing(model, SCORED) for model in self.ranked}
        return {model: stages for model, stages in found.items() if any(stages.values())}

    def ranked_state(self, wildcards: Any) -> str:
        """Digest of names, sizes and times of these files."""
        stages = self.ranked_files(wildcards).values()
        return _state(path for one in stages for paths in one.values() for path in paths)

    def scored(self, model: str) -> Row:
        """What the scores of a model depend on beyond files: its task and published accuracies."""
        named = {name for entry in self.config["attack"]["attacks"] for name in self.attack_grid(entry)}
        methods = sorted(name for name in named if self.attacks[name]["method"] == "autoattack")
        known = [row for name, row in self.expected_rows if name == self.published_as(model)]
        return {"task": self.task_of(model), "published": known, "autoattack": methods, "results": self.results}

    def card_told(self, wildcards: Any) -> Row:
        """What the card of a model says beyond its scores."""
        model = get(wildcards, "model")
        row = self.model_row(wildcards)
        kept = {key: value for key, value in row.items() if isinstance(value, str | int | float) and value != ""}
        return self.scored(model) | {"row": kept, "label": row["label"], "sheet": self.where(model)}

    def not_made(self, wildcards: Any) -> list[str]:
        """Files that figures ask for of a model and that do not exist."""
        return [path for path in self._asked(get(wildcards, "model")) if not Path(path).exists()]

    def others(self, wildcards: Any) -> Row:
        """What the card of a model says of others: the labels of all, and the models that stand on it."""
        model = get(wildcards, "model")
        built = [name for name, row in self.models.items() if row.get("base") == model]
        return {"labels": {name: row["label"] for name, row in self.models.items()}, "built": built}

    def ranked_told(self, wildcards: Any) -> dict[str, Row]:
        """What the leaderboard says of every model beyond its scores."""
        return {model: self.scored(model) | {"row": self._listed(model)} for model in self.ranked_files(wildcards)}

    def _listed(self, model: str) -> Row:
        row = self.models[model]
        told = {key: row[key] for key in ("label", "dataset", "arch", "threat", "eps")}
        return told | {"task": self.task_of(model), "study": Path(self.where(model).partition(",")[0]).stem}


def _names(path: str) -> set[str]:
    """What the parts of a path may name: a model has points in its name, or none."""
    return {part.removesuffix(ending) for part in path.split("/") for ending in ("", ".parquet", ".lmdb")}


def _state(paths: Iterable[str]) -> str:
    found = hashlib.sha256()
    for path in map(Path, sorted({*paths})):
        about = path.stat() if path.exists() else None
        found.update(f"{path}\0{about.st_size}\0{about.st_mtime_ns}\n".encode() if about else f"{path}\n".encode())
    return found.hexdigest()[:16]
