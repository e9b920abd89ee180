"""
The operators of mmcv that segmentation and detection use, by those of torchvision where mmcv has none compiled.

The package index has mmcv's source alone, and most installations of it are not compiled. Its modules take their
operators from `mmcv._ext`, so a module of that name with the same functions is all that they need.
"""

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

import torch
import torchvision  # noqa: F401 (registers torch.ops.torchvision)
from torch import Tensor

_NAME = "mmcv._ext"


def register() -> None:
    """Give mmcv its operators unless it has compiled ones; to be called before `mmcv.ops` is imported."""
    if _NAME not in sys.modules and importlib.util.find_spec(_NAME) is None:
        sys.modules[_NAME] = _Operators(_NAME)


class _Operators(ModuleType):
    """Operators by name; those that torchvision does not have raise when they are called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _KNOWN.get(name) or _missing(name)


def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes that non-maximum suppression keeps, by falling score.

    Parameters
    ----------
    bboxes : (n, 4), corners x1, y1, x2, y2
    scores : (n,)
    iou_threshold : boxes that overlap a better one by more than this are dropped
    offset : 1 where x2 and y2 are the last pixels inside a box, else 0
    """
    return torch.ops.torchvision.nms(bboxes + bboxes.new_tensor([0, 0, offset, offset]), scores, iou_threshold)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write RoIAlign, He et al. 2017 (arXiv:1703.06870), of feature maps into `output`.

    Parameters
    ----------
    input : feature maps (n, c, h, w)
    rois : (k, 5), position of the image in the batch and corners x1, y1, x2, y2 in pixels of the image
    output : (k, c, aligned_height, aligned_width)
    argmax_y, argmax_x : of `pool_mode` 0
    spatial_scale : of the feature maps to the image
    sampling_ratio : samples per side of a bin; 0 as many as it has pixels
    pool_mode : 1 averages the samples of a bin
    aligned : whether the centres of pixels are at halves

    Raises
    ------
    NotImplementedError
        If the largest sample is asked for, `pool_mode` 0.
    """
    _check_mode(pool_mode)
    size = (spatial_scale, aligned_height, aligned_width)
    output.copy_(torch.ops.torchvision.roi_align(input, rois, *size, sampling_ratio, aligned))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the gradient with respect to the feature maps into `grad_input`; parameters as in `roi_align_forward`."""
    _check_mode(pool_mode)
    size = (spatial_scale, aligned_height, aligned_width, *grad_input.shape)
    backward = torch.ops.torchvision._roi_align_backward
    grad_input.copy_(backward(grad_output, rois, *size, sampling_ratio, aligned))


def _check_mode(pool_mode: int) -> None:
    if pool_mode != 1:
        _missing("roi_align of pool_mode 'max'")()


def _missing(name: str) -> Callable[..., NoReturn]:
    def fail(*args: Any, **options: Any) -> NoReturn:
        raise NotImplementedError(
            f"this installation of mmcv has no compiled operator {name}, and torchvision has none to take its place: "
            "compile mmcv with `MAX_JOBS=2 pip install --no-build-isolation --no-binary onedl-mmcv --force-reinstall "
            "--no-deps onedl-mmcv`, or change the model"
        )

    return fail


_KNOWN = {function.__name__: function for function in (nms, roi_align_forward, roi_align_backward)}
