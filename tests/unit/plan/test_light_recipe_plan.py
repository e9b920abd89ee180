"""What figures of the light recipe are told by the plan, and refuse."""

import pytest

from mettle import schema
from mettle.plan import Plan


@pytest.fixture
def config():
    return schema.read_yaml("config/config.yaml")


def test_figure_10_is_told_the_values_of_each_cell_of_its_grid(config):
    plan = Plan(config)
    told = plan.figure("fig10")
    assert set(told["values"]) == set(told["cells"]) == set(plan.models_of_sweep("scenes_ablation"))
    model = next(name for name in told["cells"] if "mixup0_8" in name and "linear" in name)
    assert told["values"][model] == {
        "augment.mixup": 0.8,
        "attack.schedule.shape": "linear",
        "optimizer.weight_decay": 0.05,
    }


def test_figure_9_refuses_a_grid_over_anything_but_eps(config):
    grid = {"eps": ["4/255", "8/255"], "steps": [1, 2]}
    config["attack"]["attacks"]["both"] = {"method": "pgd", "norm": "linf", "grid": grid}
    config["figures"] = {"fig9": config["figures"]["fig9"] | {"attack": "both"}}
    expected = (
        r"^configuration: figures\.fig9\.attack: the grid of 'both' varies 'steps', but the figure's axis is eps: "
        "name an attack with a grid over eps alone$"
    )
    with pytest.raises(ValueError, match=expected):
        Plan(config).checked("fig9")
    del grid["steps"]
    config["attack"]["attacks"]["both"]["steps"] = 2
    assert len(Plan(config).cells("fig9")) == 4
