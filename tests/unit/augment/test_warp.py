"""Targets move with their image: label maps, masks and boxes under one field."""

import pytest
import torch
from primed import draws, options, pictures

from mettle.augment import displacement, warp, warp_boxes, warp_labels, warp_masks

SIZE = (24, 36)


def field(n=5, seed=0, **deforming):
    return displacement(SIZE, draws(n, seed), options(diffeomorphism={"cut_max": 6} | deforming)["diffeomorphism"])


def rectangles(*boxes):
    """Masks (k, h, w) of boxes with whole corners."""
    masks = torch.zeros(len(boxes), *SIZE, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    return masks


BOXES = [(5, 4, 20, 15), (10, 10, 30, 22), (0, 0, 36, 24), (18, 3, 24, 8)]


def test_a_field_of_zero_changes_nothing():
    none, x = torch.zeros(2, 2, *SIZE), pictures(2, *SIZE)
    torch.testing.assert_close(warp(x, none), x, atol=1e-5, rtol=0)
    labels = torch.randint(256, (2, *SIZE))
    assert torch.equal(warp_labels(labels, none), labels) and warp_labels(labels.byte(), none).dtype == torch.uint8
    masks = rectangles(*BOXES)
    assert torch.equal(warp_masks(masks, none[0]), masks)
    boxes = torch.tensor([(1.25, 2.75, 20.6, 21.4), (0, 0, 36, 24), (3, 3, 4, 4), (7.5, 6.5, 9.5, 8.5)])
    torch.testing.assert_close(warp_boxes(boxes, none[0]), boxes)


def test_everything_moves_against_the_field():
    shift = torch.zeros(1, 2, *SIZE)
    shift[:, 0], shift[:, 1] = 3, -2  # from the right, and from above
    x, masks = pictures(1, *SIZE), rectangles(*BOXES[:2])
    torch.testing.assert_close(warp(x, shift)[..., 2:, :-3], x[..., :-2, 3:], atol=1e-5, rtol=0)
    assert torch.equal(warp_masks(masks, shift[0])[:, 2:, :-3], masks[:, :-2, 3:])
    boxes = torch.tensor(BOXES[:2]).float()
    torch.testing.assert_close(warp_boxes(boxes, shift[0]), boxes + torch.tensor([-3.0, 2, -3, 2]))


def test_labels_follow_the_image_they_belong_to():
    fields, labels = field(), torch.arange(5 * SIZE[0] * SIZE[1]).reshape(5, *SIZE) // 7 % 11
    moved = warp_labels(labels, fields)
    assert moved.dtype == labels.dtype and not torch.equal(moved, labels)
    planes = torch.nn.functional.one_hot(labels, 11).permute(0, 3, 1, 2).float()
    most, chosen = warp(planes, fields).max(1)
    sure = most > 0.8
    assert sure.float().mean() > 0.3 and torch.equal(moved[sure], chosen[sure])


def test_boxes_hold_what_the_masks_of_their_objects_become():
    apart = []
    for one in field(8):
        masks, boxes = warp_masks(rectangles(*BOXES), one), warp_boxes(torch.tensor(BOXES).float(), one)
        for mask, box in zip(masks, boxes, strict=True):
            rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
            tight = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
            apart.append((box - tight).abs().max())
    assert max(apart) < 1.01
    assert torch.stack(apart).mean() < 0.6


@pytest.mark.parametrize("box", [(4.6, 4.6, 4.9, 5.4), (9, 9, 9, 12)])
def test_a_box_between_pixels_becomes_empty(box):
    assert warp_boxes(torch.tensor([box]), torch.zeros(2, *SIZE)).tolist() == [[0, 0, 0, 0]]


def test_an_image_without_objects_stays_without():
    assert warp_masks(torch.zeros(0, *SIZE, dtype=torch.bool), field()[0]).shape == (0, *SIZE)
    assert warp_boxes(torch.zeros(0, 4), field()[0]).shape == (0, 4)
