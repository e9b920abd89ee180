"""Learning rates by update, and parameters that do not decay or have no rate."""

import pytest
import torch
from torch import nn
from trainings import recipe

from mettle.models import optim

DENSE = {"task": "segmentation", "input": {"size": 64, "mean": [0.5] * 3, "std": [0.25] * 3}}
SGD = {"name": "sgd", "lr": 0.01, "weight_decay": 5e-4}


class Net(nn.Module):
    """Names as those of a model of a dense task with a Swin below."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.network = nn.Module()
        self.backbone.network.conv = nn.Linear(2, 3)
        self.backbone.network.norm = nn.LayerNorm(3)
        self.backbone.network.relative_position_bias_table = nn.Parameter(torch.zeros(4, 2))
        self.decode_head = nn.Linear(3, 2)


def made(updates=10, transfer="full", total=None, **options):
    net = Net()
    return net, *optim.make(net, recipe(**(DENSE | {"optimizer": SGD} | options)), updates, transfer, total)


def rates(total, scheduler, optimizer, group=0):
    found = []
    for update in range(total):
        scheduler.step_update(update)
        found.append(optimizer.param_groups[group]["lr"])
    return found


def test_poly_falls_to_its_floor_by_its_power():
    schedule = {"name": "poly", "min_lr": 1e-4}
    _, optimizer, scheduler = made(schedule=schedule, total=80)
    expected = [1e-4 + (0.01 - 1e-4) * (1 - t / 80) ** 0.9 for t in range(80)]
    assert rates(80, scheduler, optimizer) == pytest.approx(expected, rel=1e-12)


def test_poly_lasts_for_all_epochs():
    _, optimizer, scheduler = made(schedule={"name": "poly", "power": 1}, epochs=3)
    assert rates(30, scheduler, optimizer) == pytest.approx([0.01 * (1 - t / 30) for t in range(30)])


def test_one_cycle_is_that_of_torch():
    _, optimizer, scheduler = made(schedule={"name": "one_cycle", "rise": 0.4}, epochs=3)
    other = torch.optim.SGD(Net().parameters(), lr=1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(other, 0.01, total_steps=30, pct_start=0.4, cycle_momentum=False)
    expected = []
    for _ in range(30):
        expected.append(other.param_groups[0]["lr"])
        other.step()
        theirs.step() if len(expected) < 30 else None
    assert rates(30, scheduler, optimizer) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_one_cycle_of_few_updates_has_finite_rates(total):
    _, optimizer, scheduler = made(updates=1, schedule={"name": "one_cycle"}, epochs=total)
    assert all(0 < rate <= 0.01 for rate in rates(total + 1, scheduler, optimizer))


def test_warm_up_multiplies_the_schedule_as_in_mmcv():
    schedule = {"name": "poly", "power": 1, "warmup_updates": 15, "warmup_ratio": 1e-6}
    _, optimizer, scheduler = made(schedule=schedule, epochs=3)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * 1e-6)
    factors = [1 - (1 - t / 15) * (1 - 1e-6) if t < 15 else 1 for t in range(30)]
    expected = [0.01 * (1 - t / 30) * factor for t, factor in enumerate(factors)]
    assert rates(30, scheduler, optimizer) == pytest.approx(expected)


def test_warm_up_goes_before_the_drops_of_multistep():
    schedule = {"name": "multistep", "milestones": [1, 2], "warmup_updates": 5, "warmup_ratio": 0.001}
    _, optimizer, scheduler = made(schedule=schedule, epochs=3)
    found = rates(30, scheduler, optimizer)
    assert found[:6] == pytest.approx([0.01 * (0.001 + 0.999 * t / 5) for t in range(6)])
    assert found[9:] == pytest.approx([0.01] + [0.001] * 10 + [0.0001] * 10)


def decays(net, optimizer):
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {names[id(value)]: group["weight_decay"] for group in optimizer.param_groups for value in group["params"]}


def test_names_in_no_decay_do_not_decay():
    options = SGD | {"decay_all": True, "no_decay": ["norm", "relative_position_bias_table"]}
    net, optimizer, _ = made(optimizer=options, schedule={"name": "poly"})
    found = decays(net, optimizer)
    assert len(found) == len(list(net.parameters()))
    assert {name for name, decay in found.items() if decay == 0} == {
        "backbone.network.norm.weight",
        "backbone.network.norm.bias",
        "backbone.network.relative_position_bias_table",
    }


def still(net, optimizer):
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    none = [group for group in optimizer.param_groups if group["lr"] == 0]
    return {names[id(value)] for group in none for value in group["params"]}


def test_under_fixed_paper_the_backbone_has_no_rate_but_its_position_biases_keep_theirs():
    options = SGD | {"decay_all": True, "no_decay": ["norm", "relative_position_bias_table"]}
    net, optimizer, scheduler = made(transfer="fixed_paper", optimizer=options, schedule={"name": "one_cycle"})
    scheduler.step_update(3)
    named = {name for name, _ in net.named_parameters()}
    table = "backbone.network.relative_position_bias_table"
    assert still(net, optimizer) == {name for name in named if name.startswith("backbone")} - {table}
    assert decays(net, optimizer)[table] == 0


def test_under_fixed_paper_the_floor_of_poly_moves_the_backbone_all_the_same():
    _, optimizer, scheduler = made(transfer="fixed_paper", schedule={"name": "poly", "min_lr": 1e-4}, epochs=3)
    place = next(k for k, group in enumerate(optimizer.param_groups) if group["initial_lr"] == 0)
    expected = [1e-4 * (1 - (1 - t / 30) ** 0.9) for t in range(30)]
    assert rates(30, scheduler, optimizer, place) == pytest.approx(expected, abs=1e-15)
