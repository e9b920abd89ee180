"""What a group of processes does for one of them, without starting any."""

import numpy as np
import pytest
import torch

from mettle.distributed import ProcessGroup


def of(size, rank=0):
    group = ProcessGroup()
    group.size, group.rank = size, rank
    return group


@pytest.mark.parametrize(("n", "size"), [(4, 2), (5, 2), (7, 3), (3, 3)])
def test_parts_hold_every_image_once_in_its_order(n, size):
    parts = [of(size, rank).part(np.arange(n)) for rank in range(size)]
    assert np.concatenate(parts).tolist() == list(range(n)) and min(map(len, parts)) >= n // size


def test_a_batch_with_fewer_images_than_processes_is_refused():
    with pytest.raises(ValueError, match=r"^a batch of 2 images has none for some of 3 processes: raise batch_size"):
        of(3).part(np.arange(2))


@pytest.mark.parametrize("n", [1, 4, 5, 6])
def test_what_turns_divide_collect_brings_back_in_its_order(monkeypatch, n):
    groups = [of(3, rank) for rank in range(3)]
    found = [group.turns(range(n))[0] for group in groups]

    def gather(into, mine):
        into[:] = found

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    assert groups[1].collect(found[1]) == list(range(n))
    assert ProcessGroup().collect([3, 1]) == [3, 1]


def test_a_gradient_that_only_another_process_has_counts_and_one_that_none_has_stays_none():
    mine, theirs, nobodys = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
    frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    mine.grad = torch.tensor([1.0, 2.0])
    group, added = of(2), iter([torch.tensor([0.0, 1.0, 0.0]), torch.tensor([10.0, 10.0, 5.0, 5.0])])
    group.sums = lambda *values: (torch.tensor(values) + next(added)).tolist()
    group.sum = lambda values: values + next(added)
    group.add_gradients([mine, theirs, nobodys, frozen])
    assert mine.grad.tolist() == [11, 12] and theirs.grad.tolist() == [5, 5]
    assert nobodys.grad is None and frozen.grad is None
