"""The default step size of PGD, which only the schemas state, with the paper that it is from."""

from typing import Any

from mettle import schema


def step_size(options: dict[str, Any], rules: str, steps: int | None = None) -> float:
    """Length of a step of PGD, in pixel range.

    Parameters
    ----------
    options : with `norm`, `eps` and, unless `steps` is given, `steps`; `step_size` takes precedence if it is set
    rules : where the schemas state the default: file, perhaps a definition, and property, `recipe:attack.step_size`.
        Its keyword `relative_step` is a multiple of eps over the number of steps: 2.5 in evaluation (Madry et al. 2018,
        arXiv:1706.06083, section 5), 1.5 in training and in the studies of the light recipe (Debenedetti et al. 2023,
        arXiv:2209.07399). With the keyword `over`, the number of steps is always that
    steps : gradient steps
    """
    if options.get("step_size") is not None:
        return options["step_size"]
    file, _, path = rules.partition(":")
    about = schema.load(file)
    for key in path.split("."):
        about = about["properties"][key]
    steps = about.get("over", options["steps"] if steps is None else steps)
    return about["relative_step"] * options["eps"] / max(steps, 1)
