"""The worst image so far: fooling before not fooling, then by objective."""

import torch

from mettle.perturb.worst import Worst


def picture(value):
    return torch.full((1, 3, 2, 2), float(value))


def test_order_of_what_is_worse():
    worst, only = Worst(picture(0)), torch.tensor([0])

    def seen(value, fooled, objective):
        worst.consider(only, picture(value), torch.tensor([fooled]), torch.tensor([objective]))
        return worst.images[0, 0, 0, 0].item(), worst.fooled.item(), worst.value.item()

    assert seen(1, False, -5.0) == (1, False, -5.0)  # anything is better than nothing
    assert seen(2, False, -5.0) == (1, False, -5.0)  # the first of equals stays
    assert seen(3, False, 9.0) == (3, False, 9.0)
    assert seen(4, True, -1.0) == (4, True, -1.0)
    assert seen(5, False, 99.0) == (4, True, -1.0)
    assert seen(6, True, 0.0) == (6, True, 0.0)


def test_only_the_images_asked_for_change():
    clean = torch.zeros(4, 3, 2, 2)
    worst = Worst(clean)
    worst.consider(torch.tensor([3, 1]), clean[:2] + 1, torch.tensor([True, False]), torch.tensor([0.5, 0.25]))
    assert worst.images[:, 0, 0, 0].tolist() == [0, 1, 0, 1]
    assert worst.fooled.tolist() == [False, False, False, True]
    assert clean.max() == 0, "the clean images were written to"
    assert worst.remaining().tolist() == [0, 1, 2]
    assert worst.remaining(early_stop=False).tolist() == [0, 1, 2, 3]
