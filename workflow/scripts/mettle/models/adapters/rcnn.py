"""
The parts of Mask R-CNN behind the backbone, as mmdetection configures them.

He et al. 2017, arXiv:1703.06870, with a feature pyramid, Lin et al. 2017, arXiv:1612.03144. What is not an option here
is as in mmdetection's configuration of Mask R-CNN for COCO, that of the published models.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn

from mettle.models.adapters import operators
from mettle.models.adapters.backbone import Backbone
from mettle.typed import MaskRcnn

_MOST = 100  # detections in an image
_FLOOR = 0.05  # least score of a detection


class Parts(NamedTuple):
    """Modules of mmdetection, with random weights.

    Attributes
    ----------
    neck : feature pyramid
    rpn_head : proposals of boxes, without classes
    roi_head : boxes with classes, and masks
    kept : which proposals are kept in training
    """

    neck: nn.Module
    rpn_head: nn.Module
    roi_head: nn.Module
    kept: Mapping[str, Any]


def parts(maps: Backbone, options: MaskRcnn, classes: int) -> Parts:
    """What comes after a backbone.

    Parameters
    ----------
    maps : the backbone
    options : the recipe's block `mask_rcnn`
    classes : number of classes
    """
    operators.register()
    import mmdet.models  # noqa: F401 (registers them)
    from mmdet.registry import MODELS
    from mmengine.config import ConfigDict  # plain dicts build and train, but fail at the first prediction

    described = (_neck(maps, options), _proposals(maps, options), _regions(maps, options, classes))
    made = [MODELS.build(ConfigDict(one)) for one in described]
    for module in made:
        module.init_weights()
    return Parts(*made, ConfigDict(_kept(options, options["candidates"][0])))


def _neck(maps: Backbone, options: MaskRcnn) -> dict[str, Any]:
    norm = {"norm_cfg": {"type": "BN"}} if options["norm"] == "bn" else {}
    shape = {"in_channels": maps.channels, "out_channels": options["channels"], "num_outs": options["levels"]}
    return {"type": "FPN"} | shape | norm


def _proposals(maps: Backbone, options: MaskRcnn) -> dict[str, Any]:
    more = range(1, options["levels"] - len(maps.strides) + 1)
    anchors = {
        "type": "AnchorGenerator",
        "scales": options["anchor_scales"],
        "ratios": options["anchor_ratios"],
        "strides": [*maps.strides, *(maps.strides[-1] * 2**level for level in more)],
    }
    assigner = _assigner(0.7, 0.3, 0.3)
    sampler = _sampler(options["anchor_samples"], 0.5, add_gt_as_proposals=False)
    return {
        "type": "RPNHead",
        "in_channels": options["channels"],
        "feat_channels": options["channels"],
        "anchor_generator": anchors,
        "bbox_coder": _coder(1, 1),
        "loss_cls": _entropy(use_sigmoid=True),
        "loss_bbox": _DISTANCE,
        "train_cfg": {
            "assigner": assigner,
            "sampler": sampler,
            "allowed_border": -1,
            "pos_weight": -1,
        },
        "test_cfg": _kept(options, options["candidates"][1]),
    }


def _kept(options: MaskRcnn, candidates: int) -> dict[str, Any]:
    """Which proposals are kept, of so many of each map."""
    nms = {"type": "nms", "iou_threshold": 0.7}
    return {"nms_pre": candidates, "max_per_img": options["proposals"], "nms": nms, "min_bbox_size": 0}


def _regions(maps: Backbone, options: MaskRcnn, classes: int) -> dict[str, Any]:
    box_head = {
        "type": "Shared2FCBBoxHead",
        "in_channels": options["channels"],
        "fc_out_channels": options["box_width"],
        "roi_feat_size": options["box_size"],
        "num_classes": classes,
        "bbox_coder": _coder(0.1, 0.2),
        "reg_class_agnostic": options["class_agnostic"],
        "loss_cls": _entropy(use_sigmoid=False),
        "loss_bbox": _DISTANCE,
    }
    training = {
        "assigner": _assigner(0.5, 0.5, 0.5, match_low_quality=options["masks"]),
        "sampler": _sampler(options["rois"], 0.25, add_gt_as_proposals=True),
        "mask_size": 2 * options["mask_size"],
        "pos_weight": -1,
        "debug": False,
    }
    testing = {"score_thr": _FLOOR, "nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": _MOST}
    return {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": _extractor(maps, options, options["box_size"]),
        "bbox_head": box_head,
        "train_cfg": training,
        "test_cfg": testing | {"mask_thr_binary": 0.5},
    } | (_masks(maps, options, classes) if options["masks"] else {})


def _masks(maps: Backbone, options: MaskRcnn, classes: int) -> dict[str, Any]:
    head = {
        "type": "FCNMaskHead",
        "num_convs": options["mask_convs"],
        "in_channels": options["channels"],
        "conv_out_channels": options["mask_width"],
        "num_classes": classes,
        "loss_mask": _entropy(use_mask=True),
    }
    return {"mask_roi_extractor": _extractor(maps, options, options["mask_size"]), "mask_head": head}


def _extractor(maps: Backbone, options: MaskRcnn, size: int) -> dict[str, Any]:
    layer = {"type": "RoIAlign", "output_size": size, "sampling_ratio": options["sampling_ratio"]}
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": layer,
        "out_channels": options["channels"],
        "featmap_strides": maps.strides,
        "finest_scale": options["finest_scale"],
    }


def _assigner(right: float, wrong: float, least: float, *, match_low_quality: bool = True) -> dict[str, Any]:
    bounds = {"pos_iou_thr": right, "neg_iou_thr": wrong, "min_pos_iou": least}
    more = {"match_low_quality": match_low_quality, "ignore_iof_thr": -1}
    return {"type": "MaxIoUAssigner"} | bounds | more


def _sampler(number: int, right: float, *, add_gt_as_proposals: bool) -> dict[str, Any]:
    shares = {"num": number, "pos_fraction": right, "neg_pos_ub": -1}
    return {"type": "RandomSampler", "add_gt_as_proposals": add_gt_as_proposals} | shares


def _coder(centre: float, side: float) -> dict[str, Any]:
    spread = [centre, centre, side, side]
    return {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": spread}


def _entropy(**kind: bool) -> dict[str, Any]:
    return {"type": "CrossEntropyLoss", "loss_weight": 1.0} | kind


_DISTANCE = {"type": "L1Loss", "loss_weight": 1.0}
