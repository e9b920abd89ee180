"""Attacks of models in the ball of their own training attack: `norm: own, eps: own` in an entry of `attack.attacks`."""

from mettle import schema
from mettle.typed import AttackOptions, ModelRow

OWN = "own"


def is_own(options: AttackOptions) -> bool:
    """Whether an attack takes its ball from the model."""
    return options["eps"] == OWN


def check(options: AttackOptions, where: str) -> None:
    """Raise ValueError if only one of norm and eps is the model's own, or the step size is stated twice."""
    if is_own(options) != (options["norm"] == OWN):
        raise ValueError(f"{where}: norm and eps must be `own` together: a radius has a meaning in its norm only")
    if "relative_step" in options and options["step_size"] is not None:
        raise ValueError(f"{where}: step_size and relative_step both state the step size: leave one out")


def resolved(options: AttackOptions, model: ModelRow) -> AttackOptions:
    """Options of an attack on a model, with numbers in place of `own` and `relative_step`.

    A model that was trained without an attack has no ball of its own, and is evaluated on clean images.

    Parameters
    ----------
    options : of the attack, defaults filled in
    model : row of the models' sheet
    """
    if is_own(options) and model["threat"] == "none":
        clean = {"method": "pgd", "norm": "l2", "eps": 0.0, "steps": 0, "random_start": False}
        return schema.check(clean | {"images": options["images"]}, "attacks/pgd", "clean images")
    if is_own(options):
        options = options | {"norm": model["threat"], "eps": model["eps"]}
    if "relative_step" in options:
        size = options["relative_step"] * options["eps"] / max(options["steps"], 1)
        options = {key: value for key, value in options.items() if key != "relative_step"} | {"step_size": size}
    return options
