"""Memory layout: channels last where a network runs in it, else contiguous, with the same answers and gradients."""

import copy
import os
import re
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mettle import models
from mettle.data.item import Item, png
from mettle.data.store import write
from mettle.evaluation import Evaluation
from mettle.models import Classifier, Folded, Policy, folded
from mettle.stages.attack.evaluate import attack_batch
from mettle.stages.invert.descent import invert

MEAN, STD = [0.5] * 3, [0.25] * 3
CPU = Policy(torch.device("cpu"))
JOB = types.SimpleNamespace(threads=1, needs_cuda=False, seed=0)


class Plain(nn.Module):
    """Flattens a map by `flatten`, which takes any layout."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4 * 30 * 30, 5)

    def flat(self, x):
        return x.flatten(1)

    def forward(self, x):
        return self.fc(self.flat(self.bn(self.conv(x)).relu()))


class Viewed(Plain):
    """Flattens as many published networks do."""

    def flat(self, x):
        return x.view(x.size(0), -1)


class _Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * 2 * x.view(len(x), -1).view(x.shape)


class ViewedBack(Plain):
    """Takes a view in its backward pass alone."""

    def flat(self, x):
        return _Square.apply(x).flatten(1)


def classifier(kind):
    torch.manual_seed(0)
    return Classifier(kind(), MEAN, STD, 32).eval()


@pytest.mark.parametrize(
    ("kind", "layout"),
    [(Plain, torch.channels_last), (Viewed, torch.contiguous_format), (ViewedBack, torch.contiguous_format)],
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_gets_the_layout_that_it_runs_in(kind, layout, precision):
    policy = Policy(torch.device("cpu"), precision).suited(classifier(kind))
    assert (policy.layout, policy.precision) == (layout, precision)


@pytest.mark.parametrize("kind", [Plain, Viewed, ViewedBack])
def test_answers_and_gradients_do_not_depend_on_it(kind):
    model = classifier(kind)
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = []
    policy = CPU.suited(copy.deepcopy(model))
    for net, images in ((model, x), (policy.place(copy.deepcopy(model)), policy.move(x))):
        images = images.clone().requires_grad_(True)
        logits = net(images)
        found.append((logits, torch.autograd.grad(logits.square().sum(), images)[0]))
    for ours, known in zip(*found, strict=True):
        torch.testing.assert_close(ours, known, rtol=1e-4, atol=1e-5)


def test_a_folded_copy_runs_in_the_layout_of_its_model():
    model = classifier(Viewed)
    policy = CPU.suited(model)
    x = policy.move(torch.rand(3, 3, 32, 32)).requires_grad_(True)
    quick = folded(policy.place(model), x[:1].detach())
    assert isinstance(quick, Folded)
    torch.testing.assert_close(quick(x), model(x), rtol=1e-4, atol=1e-5)
    assert torch.autograd.grad(quick(x).square().sum(), x)[0].abs().max() > 0


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """A saved model of an architecture that flattens by `view`, as evaluations open it."""
    made = models.Architecture(lambda classes, size: Viewed(), "made", "")
    monkeypatch.setitem(models.ARCHITECTURES, "viewed", made)
    about = {"arch": "viewed", "classes": 5, "size": 32, "resize": None, "interpolation": "bilinear"}
    about |= {"mean": MEAN, "std": STD, "threat": "none", "eps": 0.0}
    models.save(tmp_path / "w.safetensors", models.create("viewed", 5, 32, MEAN, STD, seed=0), about)
    rng = np.random.default_rng(0)
    items = (Item(png(rng.integers(0, 256, (32, 32, 3), np.uint8)), 0, "a", str(i)) for i in range(4))
    write(tmp_path / "test.lmdb", tmp_path / "test.parquet", items)
    return Evaluation(tmp_path / "w.safetensors", tmp_path / "test.lmdb", "d", "fp32", 4, JOB).open()


def test_evaluations_open_a_network_in_the_layout_that_it_runs_in(opened):
    model, policy = opened.model, opened.policy
    (batch,) = opened.batches([np.arange(4)])
    x = batch.images
    with torch.inference_mode():
        logits, features = model.both(x)
    assert logits.shape == (4, 5) and features.shape == (4, 3600)
    options = {"method": "pgd", "norm": "linf", "eps": 0.03, "steps": 3, "step_size": 0.02}
    columns = attack_batch(opened.faster(), batch, options)
    assert (columns["loss"] > columns["clean_loss"]).all()
    found = invert(model, x, x.flip(0), steps=2, step_size=0.1, momentum=0.9, policy=policy)
    assert (found.loss < found.start).all()


def test_every_network_of_the_tests_of_this_file_needs_what_it_is_for():
    image = CPU.move(torch.rand(2, 3, 32, 32)).requires_grad_(True)
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        CPU.place(classifier(Viewed))(image)
    logits = CPU.place(classifier(ViewedBack))(image)
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        logits.sum().backward()


# Where a job computes


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_job_that_was_given_a_gpu_stops_where_there_is_no_cuda(no_cuda):
    where = re.escape(os.uname().nodename)
    message = (
        rf"^this job was given a GPU, but PyTorch \S+ \(for CUDA \S+\) finds none on {where}: see what `nvidia-smi`"
    )
    with pytest.raises(RuntimeError, match=message + ".*`without_cuda: cpu` for its rule in the profile$"):
        models.policy(1, needs_cuda=True)


def test_without_one_it_computes_on_the_cpu(no_cuda):
    assert models.policy(1).device.type == "cpu"


def test_an_evaluation_needs_cuda_if_its_job_does(no_cuda, tmp_path, opened):
    job = types.SimpleNamespace(threads=1, needs_cuda=True)
    with pytest.raises(RuntimeError, match="given a GPU"):
        replace(opened.evaluation, job=job).open()


def test_a_log_says_device_precision_images_batch_and_threads(no_cuda):
    policy = models.policy(3, "bf16")
    try:
        assert policy.sentence(1000, 250) == "computes on CPU in bf16: 1000 images in batches of 250, 3 threads"
    finally:
        models.policy(1)
