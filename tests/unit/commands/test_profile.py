"""`make profile`: counts against formulas and published figures, and passes that are really run."""

import pandas as pd
import pytest
import torch
from torch import nn

from mettle import models, tables
from mettle.commands import profile

PLAIN = ["forward", "input_gradient", "training"]
POLICY = models.Policy(torch.device("cpu"))


class Small(nn.Module):
    """A grouped convolution with stride, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 12, 3, stride=2, padding=1, groups=3), nn.BatchNorm2d(12)
        self.fc = nn.Linear(12, 5)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).relu().mean((2, 3)))


def setting(**other):
    found = {"classes": 5, "size": 8, "batch": 4, "policy": POLICY, "steps": (1, 3), "warm": 0, "repeats": 1}
    return profile.Setting(**found | other)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(models.ARCHITECTURES, "small", models.Architecture(lambda classes, size: Small(), "", ""))


def test_counts_are_those_of_the_formula(small):
    parameters, multiply_adds = profile.count(models.create("small", 5, 8, [0.5] * 3, [0.5] * 3, seed=0))
    assert parameters == (12 * 9 + 12) + 2 * 12 + (12 * 5 + 5)
    assert multiply_adds == 4 * 4 * 12 * 9 * (3 // 3) + 12 * 5


# Millions of parameters as the study's networks have them; G multiply-adds at 224 px as their papers and timm say.
PUBLISHED = {
    "resnet18": (11.69, 1.81),
    "resnet50": (25.56, 4.09),
    "convnext_tiny": (28.59, 4.46),
    "xcit_nano_12_p16_224": (3.05, 0.56),
    "xcit_small_12_p16_224": (26.25, 4.82),
}


@pytest.mark.parametrize("arch", PUBLISHED)
def test_counts_are_those_published(arch):
    millions, billions = PUBLISHED[arch]
    with torch.device("meta"):  # shapes only
        model = models.Classifier(models.build(arch, 1000, 224), [0.5] * 3, [0.5] * 3, 224)
    parameters, multiply_adds = profile.count(model)
    assert round(parameters / 1e6, 2) == millions
    assert multiply_adds / 1e9 == pytest.approx(billions, rel=0.02)


def test_every_pass_is_run_and_timed(small):
    rows = profile.measure("small", setting())
    assert [row["what"] for row in rows] == [*PLAIN, "pgd1", "pgd3", "trades1", "trades3"]
    assert all(row["batch"] == 4 and row["seconds"] > 0 and row["memory"] is None for row in rows)
    assert rows[0]["forwards"] == 1 and rows[0]["images_per_second"] == pytest.approx(4 / rows[0]["seconds"])
    assert {row["parameters"] for row in rows} == {209} and {row["multiply_adds"] for row in rows} == {1788}


def test_passes_of_an_attacked_step_are_as_many_as_the_attack_has(small, monkeypatch):
    """PGD-k: k passes for the attack, one for the update; TRADES-k: the clean answers, k, and two for the update."""
    model = models.create("small", 5, 8, [0.5] * 3, [0.5] * 3, seed=0)
    calls = []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    images, labels = torch.rand(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64)
    found = {}
    for name, run in profile._passes(model, POLICY, setting()):
        calls.clear()
        run(images, labels)
        found[name] = len(calls)
    assert found == {"forward": 1, "input_gradient": 1, "training": 1, "pgd1": 2, "pgd3": 4, "trades1": 4, "trades3": 6}


def test_the_batch_is_halved_until_it_fits(monkeypatch):
    tried = []

    def run(images, labels):
        tried.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError("no room")

    assert profile.timed("forward", run, POLICY, setting(batch=9))["batch"] == 2
    assert tried == [9, 4, 2]
    with pytest.raises(ValueError, match=r"^forward: not even one image of 8 px fits into memory$"):
        profile.timed("forward", lambda *_: run(torch.zeros(3), None), POLICY, setting())


def test_the_command(small, capsys, tmp_path):
    numbers = {"size": 8, "classes": 5, "batch": 2, "warm": 0, "repeats": 1, "threads": 1}
    options = ["small", *(part for name, value in numbers.items() for part in (f"--{name}", str(value)))]
    for name in ("cost.parquet", "cost.csv"):
        assert profile.main([*options, "--device", "cpu", "--precision", "bf16", "--out", str(tmp_path / name)]) == 0
    shown = capsys.readouterr().out
    assert "small: 209 parameters, 0.000 G multiply-adds an image of 8 px; cpu, bf16, 1 threads" in shown
    assert [line.split()[0] for line in shown.splitlines()[2:7]] == [*PLAIN, "pgd1", "trades1"]
    table, text = tables.read(tmp_path / "cost.parquet", tables.COST), pd.read_csv(tmp_path / "cost.csv")
    assert list(table["what"]) == list(text["what"]) and list(text.columns) == list(tables.COST.columns)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["no_such_net"], "unknown architecture 'no_such_net'"),
        (["small", "--out", "x.txt"], "--out x.txt: ends neither in .parquet nor in .csv"),
        (["small", "--device", "cuda"], "--device cuda: torch finds no CUDA device on this machine"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(small, options, told, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert profile.main(options) == 1
    assert capsys.readouterr().err.startswith(told)
