"""What figures of the light recipe are told by the plan."""

import types

import pytest

from mettle import schema
from mettle.plan import Plan
from mettle.plan.light_recipe import _check_fig9


def of_paper():
    return schema.read_yaml("config/config.yaml")


def test_figure_10_is_told_the_values_of_each_cell_of_its_grid():
    plan = Plan(of_paper())
    told = plan.figure("fig10")
    assert set(told["values"]) == set(told["cells"]) == set(plan.models_of_sweep("scenes_ablation"))
    model = next(name for name in told["cells"] if "mixup0_8" in name and "linear" in name)
    assert told["values"][model] == {
        "augment.mixup": 0.8,
        "attack.schedule.shape": "linear",
        "optimizer.weight_decay": 0.05,
    }


def test_figure_9_refuses_a_grid_over_anything_but_eps():
    grids = {"one": {"eps": [0.1]}, "two": {"eps": [0.1], "steps": [1, 2]}}
    attacks = {name: {"method": "pgd", "grid": grid} for name, grid in grids.items()}
    plan = types.SimpleNamespace(
        config={"attack": {"attacks": attacks}}, known=lambda *args: None, known_attack=lambda *args: None, datasets={}
    )
    _check_fig9(plan, {"dataset": "d", "attack": "one"}, "figures.fig9")
    expected = (
        r"^figures\.fig9\.attack: the grid of 'two' varies 'steps', but the figure's axis is eps: "
        "name an attack with a grid over eps alone$"
    )
    with pytest.raises(ValueError, match=expected):
        _check_fig9(plan, {"dataset": "d", "attack": "two"}, "figures.fig9")
