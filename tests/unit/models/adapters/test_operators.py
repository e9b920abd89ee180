"""Operators of mmcv by those of torchvision: equal to torchvision's, gradients included."""

import sys
import types

import pytest
import torch
from torchvision import ops

from mettle.models.adapters import operators

operators.register()


@pytest.fixture
def boxes():
    """Boxes in an image of 32x48, many of which overlap."""
    corners = torch.rand(60, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([32.0, 20.0])
    sides = 4 + 12 * torch.rand(60, 2, generator=torch.Generator().manual_seed(1))
    return torch.cat([corners, corners + sides], dim=1)


@pytest.fixture
def scores():
    return torch.rand(60, generator=torch.Generator().manual_seed(2))


def test_nms_is_torchvisions(boxes, scores):
    from mmcv.ops import nms

    kept, indices = nms(boxes, scores, iou_threshold=0.3)
    assert indices.tolist() == ops.nms(boxes, scores, 0.3).tolist()
    assert torch.equal(kept, torch.cat([boxes[indices], scores[indices, None]], dim=1))
    assert 0 < len(indices) < len(boxes)


def test_boxes_that_include_their_last_pixels_are_a_pixel_larger():
    from mmcv.ops import nms

    # Counted in pixels, 4 of 8 are shared; counted in lengths, 1 of 5.
    boxes, scores = torch.tensor([[0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 3.0, 1.0]]), torch.tensor([0.9, 0.8])
    assert len(nms(boxes, scores, iou_threshold=0.4, offset=1)[1]) == 1
    assert len(nms(boxes, scores, iou_threshold=0.4, offset=0)[1]) == 2


def test_nms_of_no_boxes_keeps_none():
    from mmcv.ops import nms

    assert nms(torch.zeros(0, 4), torch.zeros(0), iou_threshold=0.5)[1].tolist() == []


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("aligned", [False, True])
def test_roi_align_and_its_gradient_are_torchvisions(boxes, ratio, aligned):
    from mmcv.ops import RoIAlign

    rois = torch.cat([torch.arange(60.0)[:, None] % 2, boxes], dim=1)
    maps = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(3))
    found, wanted = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    ours = RoIAlign((4, 5), spatial_scale=0.25, sampling_ratio=ratio, aligned=aligned)(found, rois)
    theirs = ops.roi_align(wanted, rois, (4, 5), 0.25, ratio, aligned)
    assert torch.equal(ours, theirs)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(4))
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    assert torch.equal(found.grad, wanted.grad) and found.grad.abs().sum() > 0


def test_gradients_of_roi_align_are_those_of_finite_differences(boxes):
    from mmcv.ops import roi_align

    maps = torch.randn(1, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    rois = torch.cat([torch.zeros(3, 1), boxes[:3] / 8], dim=1).double()
    assert torch.autograd.gradcheck(lambda x: roi_align(x, rois, (2, 2), 1.0, 2, "avg", True), maps.requires_grad_())


def test_other_operators_say_what_is_missing(boxes, scores):
    from mmcv.ops import RoIAlign, soft_nms

    with pytest.raises(
        NotImplementedError, match=r"no compiled operator softnms, .* compile mmcv with `MAX_JOBS=2 pip"
    ):
        soft_nms(boxes, scores)
    with pytest.raises(NotImplementedError, match="no compiled operator roi_align of pool_mode 'max'"):
        RoIAlign(4, pool_mode="max")(torch.zeros(1, 1, 8, 8), torch.zeros(1, 5))


def test_compiled_operators_stay(monkeypatch):
    compiled = types.ModuleType("mmcv._ext")
    monkeypatch.setitem(sys.modules, "mmcv._ext", compiled)
    operators.register()
    assert sys.modules["mmcv._ext"] is compiled


def test_mmcv_is_looked_for_its_compiled_operators_first(monkeypatch):
    monkeypatch.delitem(sys.modules, "mmcv._ext")
    monkeypatch.setattr(operators.importlib.util, "find_spec", lambda name: f"compiled {name}")
    operators.register()
    assert "mmcv._ext" not in sys.modules
