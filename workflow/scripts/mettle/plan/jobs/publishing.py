"""Inputs and params of what is handed on to others: submissions to leaderboards, and folders for Hugging Face."""

from typing import Any

from mettle.plan import hardened, names, zoo
from mettle.plan.jobs.training import Training
from mettle.plan.sheets import CLASSIFICATION, Row
from mettle.plan.stores import get
from mettle.units import ball_text

# The images on which RobustBench evaluates models of a data set, where they are not its whole test split.
_PROTOCOL = {"imagenet": "imagenet_rb5000"}
_STANDARD = ("apgd_ce", "apgd_t", "fab_t", "square")


class Publishing(Training):
    """Input and params functions of the rules `submission` and `hub`."""

    def in_own_ball(self, model: str) -> list[str]:
        """Attacks of the configuration on a model itself, in the ball that it was trained against."""
        row, found = self.models[model], []
        for name, written in self.attacks.items():
            options = self.attack({"attack": name, "model": model})
            ball = (options["norm"], options["eps"]) == (row["threat"], row["eps"])
            if ball and written.get("through", hardened.SELF) == hardened.SELF:
                found.append(name)
        return found

    def standard_attack(self, model: str) -> str:
        """The standard AutoAttack on all images in the ball that a model was trained against.

        Raises
        ------
        ValueError
            If the model has no such ball, or the configuration no such attack.
        """
        self._check_whole_classifier(model)
        row = self.models[model]
        if row["threat"] == "none":
            raise ValueError(
                f"{self.where(model)}: was trained without an attack, and a submission states a ball: state threat and "
                "eps in the row, or in its recipe"
            )
        for name in self.in_own_ball(model):
            options = self.attack({"attack": name, "model": model})
            whole = options["method"] == "autoattack" and options["images"] is None
            if whole and tuple(options["attacks"]) == _STANDARD:
                return name
        ball = ball_text(row["threat"], row["eps"])
        raise ValueError(
            f"configuration: attack.attacks has no standard AutoAttack in the ball of '{model}', {ball}: add "
            f"{{method: autoattack, norm: {row['threat']}, eps: {row['eps']:.6g}}}"
        )

    def submitted_cells(self, wildcards: Any) -> list[str]:
        """Attack cells of a model in its own ball on all images, the standard AutoAttack first."""
        model = get(wildcards, "model")
        first = self.standard_attack(model)
        others = [name for name in self.in_own_ball(model) if name != first and self.attacks[name]["images"] is None]
        return [self._cell(model, name) for name in (first, *others)]

    def submission(self, wildcards: Any) -> Row:
        """What a submission says of a model, beyond its answers."""
        model = get(wildcards, "model")
        row = self.models[model]
        keys = ("dataset", "threat", "eps", "arch", "label", "reference")
        facts = {"model": model, "attack": self.standard_attack(model)} | {key: row[key] for key in keys}
        recipe = self.recipe_of(model)
        return facts | {"extra_data": bool(row.get("base") or "mix" in recipe), "paper": self._paper(model)}

    def shown_cells(self, wildcards: Any) -> list[str]:
        """Attack cells of the card of a model for Hugging Face: those in its own ball, or else the first attack.

        None if the configuration has no attack, or the model cannot be attacked.
        """
        model = get(wildcards, "model")
        found = [] if self.models[model]["threat"] == "none" else self.in_own_ball(model)
        return [self._cell(model, name) for name in found or list(self.attacks)[:1]]

    def handed_on(self, wildcards: Any) -> Row:
        """Facts on the card of a model for Hugging Face, as on its own card.

        Raises
        ------
        ValueError
            If it is no whole classifier, or not a network of timm.
        """
        model = get(wildcards, "model")
        self._check_whole_classifier(model)
        arch = self.models[model]["arch"]
        if (known := names.of_timm()) and arch not in known:
            raise ValueError(
                f"{self.where(model)}: '{arch}' is not a network of timm, and results/hub is in the form of timm: hand "
                f"on results/train/{model}/weights.safetensors itself"
            )
        return self.card(wildcards)

    def _paper(self, model: str) -> Row:
        """What is published of the model's paper, where it is an entry of RobustBench; else empty."""
        return zoo.published().get(self.published_as(model), {})

    def _cell(self, model: str, attack: str) -> str:
        dataset = self.models[model]["dataset"]
        chosen = _PROTOCOL.get(dataset, dataset)
        images = chosen if chosen in self.datasets and self.scores(model, chosen) else dataset
        return f"{self.results}/attack/{images}/{model}/{attack}.parquet"

    def _check_whole_classifier(self, model: str) -> None:
        """Raise ValueError unless a model is a classifier whose file holds all of it."""
        if self.task_of(model) != CLASSIFICATION or self.has_tokens(model) or self.has_head(model):
            raise ValueError(f"{self.where(model)}: only classifiers are handed on whose weights are one network")
