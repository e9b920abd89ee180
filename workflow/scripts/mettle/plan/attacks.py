"""
Attacks of models: which there are for a task, and those in the ball of a model's own training attack.

The latter are entries of `attack.attacks` with `norm: own, eps: own`.
"""

from mettle import schema
from mettle.tables import ATTACKED
from mettle.typed import AttackOptions, ModelRow

OWN = "own"
_CLASSIFICATION = "classification"
# Methods that raise the objective of any task, and options that they then have.
_RAISING = {"pgd": {"target": "none"}, "apgd": {"loss": "ce", "engine": "mettle"}}


def is_own(options: AttackOptions) -> bool:
    """Whether an attack takes its ball from the model."""
    return options["eps"] == OWN


def check(options: AttackOptions, where: str) -> None:
    """Raise ValueError if only one of norm and eps is the model's own, or the step size is stated twice."""
    if is_own(options) != (options["norm"] == OWN):
        raise ValueError(f"{where}: norm and eps must be `own` together: a radius has a meaning in its norm only")
    if "relative_step" in options and options["step_size"] is not None:
        raise ValueError(f"{where}: step_size and relative_step both state the step size: leave one out")
    check_whole(options, options["norm"], where)


def check_whole(options: AttackOptions, norm: str, where: str) -> None:
    """Raise ValueError for AutoAttack in L1 without one of its members, in its order.

    Parameters
    ----------
    options : of the attack, defaults filled in
    norm : of the ball
    where : entry of the configuration, for the message
    """
    if options["method"] != "autoattack" or norm != "l1":
        return
    members = schema.load("attacks/autoattack")["properties"]["attacks"]["default"]
    if options["attacks"] != members:
        raise ValueError(
            f"{where}: attacks: [{', '.join(options['attacks'])}] is not AutoAttack in L1, which is "
            f"[{', '.join(members)}]: leave `attacks` out, or take method apgd, fab or square"
        )


def check_task(options: AttackOptions, task: str, where: str, model: str) -> None:
    """Raise ValueError for an attack of a model of a task that no attack is known for, or not this one.

    Where nothing is a success and outputs are no classes, attacks are left that raise an objective: PGD, and Auto-PGD
    on the cross-entropy, which is that objective.

    Parameters
    ----------
    options : of the attack, defaults filled in
    task : of the model
    where : entry of the configuration, for the message
    model : sheet and row of the model, for the message
    """
    if task not in ATTACKED:
        raise ValueError(f"{model}: is a model of {task}, but attacks are for models of {', '.join(ATTACKED)}")
    if task == _CLASSIFICATION:
        return
    method = options["method"]
    if method not in _RAISING:
        asks = f"method {method}"
    elif wrong := [key for key, value in _RAISING[method].items() if options[key] != value]:
        asks = f"{wrong[0]}: {options[wrong[0]]}"
    else:
        return
    known = " or ".join(_written(*one) for one in _RAISING.items())
    raise ValueError(
        f"{where}: {asks} needs a class per image, but {model} is of a model of {task}: attack it by {known}"
    )


def _written(method: str, options: dict[str, str]) -> str:
    return ", ".join([f"method: {method}", *(f"{key}: {value}" for key, value in options.items())])


def resolved(options: AttackOptions, model: ModelRow, task: str = _CLASSIFICATION) -> AttackOptions:
    """Options of an attack on a model, with numbers in place of `own` and `relative_step`.

    A model that was trained without an attack has no ball of its own, and is evaluated on clean images.

    Parameters
    ----------
    options : of the attack, defaults filled in
    model : row of the models' sheet
    task : of the model; `early_stop` does nothing but for classification, so that other cells do not depend on it
    """
    if task != _CLASSIFICATION:
        options = options | {"early_stop": False}
    if is_own(options) and model["threat"] == "none":
        clean = {"method": "pgd", "norm": "l2", "eps": 0.0, "steps": 0, "random_start": False}
        return schema.check(clean | {"images": options["images"]}, "attacks/pgd", "clean images")
    if is_own(options):
        options = options | {"norm": model["threat"], "eps": model["eps"]}
    if "relative_step" in options:
        size = options["relative_step"] * options["eps"] / max(options["steps"], 1)
        options = {key: value for key, value in options.items() if key != "relative_step"} | {"step_size": size}
    return options
