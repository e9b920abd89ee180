"""The registry of tasks, and that attacks and evaluations know none of them."""

import types
from pathlib import Path

import pytest
import torch
from torch import nn

from mettle import models, schema
from mettle.data.targets import KINDS
from mettle.evaluation import Batch, Evaluation, Opened
from mettle.perturb import Goal
from mettle.stages.attack.evaluate import Progress, attack_batch
from mettle.tables import FLAGS, Column, Table
from mettle.tables.columns import FLOAT, INT
from mettle.tasks.known import TASKS, task_of
from mettle.tasks.scores import Score
from mettle.tasks.task import Task

JOB = types.SimpleNamespace(seed=0, threads=1, needs_cuda=False, progress=lambda items, *rest: items, provenance={})


def test_the_registry_knows_tasks_by_the_names_of_datasets():
    assert set(TASKS) <= {"classification", "features", *KINDS}
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in TASKS}
    for task in (task for task in TASKS.values() if task.table):
        assert {"id", "distance", "queries", "note", *FLAGS} <= set(task.table.columns)


def test_a_model_without_a_task_classifies_and_one_of_another_task_is_refused():
    assert task_of({}, "w").name == "classification"
    expected = f"^w: made for the task 'poetry', but models here are made for: {', '.join(TASKS)}$"
    with pytest.raises(ValueError, match=expected):
        task_of({"task": "poetry"}, "w")


# A task of another kind: a map of numbers per image, nothing of which is a success


def _error(outputs, maps):
    return (outputs[:, 0] - maps).abs().flatten(1).mean(1)


def _mean_error(answers, weights):
    return weights @ answers["error"] / weights.sum(1)


_COLUMNS = {name: Column(FLOAT, name) for name in ("clean_error", "error", "distance")}
MAPS = Task(
    name="maps",
    targets=lambda store, positions: torch.zeros(len(positions), 8, 8),
    check=lambda outputs, targets, ids: None,
    goal=lambda maps: Goal(lambda outputs, index: _error(outputs, maps[index])),
    aims={},
    logits=False,
    answers=lambda outputs, maps: {"error": _error(outputs, maps)},
    table=Table("maps", "", {"id": Column(INT, "image")} | _COLUMNS | {"queries": Column(INT, "passes")} | FLAGS),
    score=Score("error", "mean error of a map", _mean_error),
)


@pytest.mark.parametrize(("method", "more"), [("pgd", {"steps": 5, "step_size": 0.02})])
def test_an_attack_goes_through_a_task_without_labels_and_without_success(method, more):
    generator = torch.Generator().manual_seed(0)
    images, maps = (torch.rand(3, *shape, generator=generator) for shape in ((3, 8, 8), (8, 8)))
    torch.manual_seed(0)
    model = nn.Conv2d(3, 1, 3, padding=1)
    evaluation = Evaluation(Path("w"), Path("i"), "d", "fp32", 3, JOB)
    opened = Opened(evaluation, model, None, models.policy(1), MAPS)
    options = schema.check({"method": method, "norm": "linf", "eps": 0.05} | more, f"attacks/{method}", "here")
    columns = attack_batch(opened, Batch(images, maps, [4, 5, 6]), options)
    assert set(columns) == set(MAPS.table.columns)
    assert (columns["error"] > columns["clean_error"]).all()
    assert columns["distance"].max() <= 0.05 and not columns["probabilities"].any()
    progress = Progress(JOB, MAPS.score, 1)
    progress.add(columns)
    assert str(progress).startswith(f"1 of 1 batches: error {columns['error'].mean():.4f} of 3 images, clean ")
    assert columns["id"].tolist() == [4, 5, 6]
