"""Mask R-CNN and Faster R-CNN on a small backbone, and mmdetection's own detector beside them."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from mettle import models, schema
from mettle.data.item import decode_array
from mettle.data.streets import street
from mettle.models.adapters import detector, rcnn
from mettle.models.detections import Annotations, annotations

SIZE = (96, 96)
SMALL = {
    **{"masks": True, "channels": 16, "norm": "bn", "levels": 3, "anchor_scales": [4, 5.6], "anchor_ratios": [1, 2]},
    **{"anchor_samples": 32, "candidates": [50, 50], "proposals": 24, "rois": 16, "finest_scale": 14},
    **{"sampling_ratio": 1, "box_size": 5, "box_width": 32, "class_agnostic": True, "mask_size": 6},
    **{"mask_convs": 1, "mask_width": 16},
}
ABOUT = {
    **{"arch": "resnet10t_half", "size": 96, "classes": 10, "scale": None, "transfer": "full"},
    **{"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "backbone": {"names": "timm", "strides": [4, 8, 16], "frozen_stages": 0, "norm_eval": False},
}


def made(seed=0, scale=None, **options):
    return detector.create(ABOUT | {"mask_rcnn": SMALL | options, "scale": scale}, seed)


def batch(n):
    """Streets: images (n, 3, 96, 96), and their objects."""
    items = [street(0, "train", index) for index in range(n)]
    images = np.stack([decode_array(item.data) for item in items])
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, [item.targets.objects for item in items]


@pytest.fixture(scope="module")
def streets():
    images, objects = batch(4)
    return images, [annotations(found, SIZE) for found in objects]


@pytest.fixture(scope="module")
def trained(streets):
    """A detector after some updates on four images, and its total loss before and after."""
    model, totals = made(), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.train()
    for step in range(18):
        torch.manual_seed(step)
        loss = sum(model.losses(*streets).values())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        totals.append(loss.item())
    return model.eval(), totals


def test_it_learns_the_images_that_it_sees(trained, streets):
    model, totals = trained
    assert np.mean(totals[-5:]) < 0.7 * totals[0]
    with torch.no_grad():
        found = model(streets[0])
    assert sum(map(len, found)) > 4


def test_detections_are_in_the_image_at_its_size(trained, streets):
    with torch.no_grad():
        found = trained[0](streets[0])
    assert len(found) == 4
    for one in found:
        assert one.boxes.shape == (len(one), 4) and one.scores.shape == one.labels.shape == (len(one),)
        assert one.masks.shape == (len(one), *SIZE) and one.masks.dtype == torch.bool
        assert len(one) <= 100 and (one.scores.diff() <= 0).all()
        assert (one.boxes >= 0).all() and (one.boxes <= 96).all()
        assert ((one.scores > 0.05) & (one.scores <= 1)).all() and (one.labels < 10).all()


def test_resizing_is_inside_and_detections_are_at_the_size_of_the_image(trained, streets):
    resizing = made(scale=[200, 150])
    resizing.load_state_dict(trained[0].state_dict())
    seen = []
    resizing.backbone.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape)))
    image = streets[0][:1, :, :80]
    with torch.no_grad():
        (found,) = resizing.eval()(image)
    assert seen == [(1, 3, 160, 192)]  # 150 x 180, padded to multiples of 32
    assert found.masks.shape[1:] == (80, 96)
    assert found.boxes[:, 2].max() <= 96 and found.boxes[:, 3].max() <= 80


def test_an_image_does_not_depend_on_its_batch(trained, streets):
    model, images = trained[0], streets[0]
    with torch.no_grad():
        together, alone = model(images[:3])[1], model(images[1:2])[0]
    torch.testing.assert_close(together.boxes, alone.boxes, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(together.scores, alone.scores, rtol=1e-3, atol=1e-4)


def test_the_same_seed_gives_the_same_weights_and_losses(streets):
    states = [made(seed).state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])
    model, found = made().train(), []
    for seed in (3, 3, 4):
        model.load_state_dict(states[0])
        torch.manual_seed(seed)
        found.append(sum(model.losses(*streets).values()).item())
    assert found[0] == found[1] != found[2]


def test_every_part_learns(streets):
    model = made(class_agnostic=False).train()
    losses = model.losses(*streets)
    assert list(losses) == ["rpn_cls", "rpn_bbox", "cls", "bbox", "mask"]
    sum(losses.values()).backward()
    idle = [name for name, value in model.named_parameters() if value.grad is None]
    assert all(name.startswith("backbone.network.layer4") for name in idle)  # of stride 32, which is not asked for


def test_an_image_without_objects_and_one_with_a_crowd_alone_are_trained_on(streets):
    images, targets = streets
    none = annotations([], SIZE)
    crowd = replace(targets[1], crowds=torch.ones(len(targets[1]), dtype=torch.bool))
    model = made().train()
    losses = model.losses(images[:2], [none, crowd])
    assert losses["rpn_bbox"] == losses["bbox"] == losses["mask"] == 0 and losses["rpn_cls"] > 0
    sum(losses.values()).backward()


def test_a_crowd_is_not_learned(streets):
    images, targets = streets
    one = targets[0]
    crowds = torch.zeros(len(one), dtype=torch.bool)
    crowds[0] = True
    single = Annotations(one.boxes[1:], one.labels[1:], crowds[1:], one.masks[1:], SIZE)
    found = []
    for target in (replace(one, crowds=crowds), single):
        torch.manual_seed(0)
        found.append(made().train().losses(images[:1], [target]))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_saved_weights_give_the_same_detector(trained, streets, tmp_path):
    about = {"resize": None, "interpolation": "bilinear", "threat": "none", "eps": 0, "task": "detection"}
    models.save(tmp_path / "weights.safetensors", trained[0].state_dict(), ABOUT | {"mask_rcnn": SMALL} | about)
    model, found = models.load(tmp_path / "weights.safetensors")
    assert found["task"] == "detection" and not model.training
    with torch.no_grad():
        both = [one(streets[0][:2]) for one in (model, trained[0])]
    for one, other in zip(*both, strict=True):
        assert all(torch.equal(getattr(one, part), getattr(other, part)) for part in vars(one))


# Without masks


def test_a_detector_without_masks_is_faster_rcnn(streets):
    model = made(masks=False).train()
    assert not model.predicts_masks and list(model.losses(*streets)) == ["rpn_cls", "rpn_bbox", "cls", "bbox"]
    with torch.no_grad():
        assert model.eval()(streets[0][:1])[0].masks is None


def test_masks_that_objects_lack_are_a_sentence(streets):
    lacking = replace(streets[1][0], masks=None)
    with pytest.raises(ValueError, match=r"predicts masks, but objects .* have none: set mask_rcnn.masks"):
        made().train().losses(streets[0][:1], [lacking])


def test_objects_without_masks_have_none():
    _, (objects,) = batch(1)
    assert annotations(objects, SIZE).masks.shape == (len(objects), *SIZE)
    assert annotations([replace(one, mask=None) for one in objects], SIZE).masks is None
    assert annotations([], SIZE).boxes.shape == (0, 4)


# Precision


def test_autocast_is_for_the_backbone_and_the_pyramid(streets):
    found = []
    for enabled in (False, True):
        model = made().train()
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(model.losses(*streets))
    assert all(value.dtype == torch.float32 for value in found[1].values())
    assert found[0]["rpn_cls"] != found[1]["rpn_cls"]
    torch.testing.assert_close(found[0]["rpn_cls"], found[1]["rpn_cls"], rtol=0.02, atol=0)


# mmdetection's own detector


def told():
    """mmdetection's own configuration of Mask R-CNN for COCO."""
    from mmengine.config import Config

    folder = Path(find_spec("mmdet").submodule_search_locations[0]) / ".mim" / "configs" / "_base_" / "models"
    return Config.fromfile(folder / "mask-rcnn_r50_fpn.py").model


def defaults():
    shape = {"size": 96, "mean": [0.5] * 3, "std": [0.25] * 3}
    return schema.check({"task": "detection", "input": shape}, "recipe", "a recipe")["mask_rcnn"]


def test_defaults_are_those_of_mmdetection_for_coco():
    from mmdet.registry import MODELS

    expected, maps = told(), SimpleNamespace(channels=[256, 512, 1024, 2048], strides=[4, 8, 16, 32])
    found = rcnn.parts(maps, defaults(), 80)
    for part in ("rpn", "rcnn"):
        head = {"rpn": "rpn_head", "rcnn": "roi_head"}[part]
        expected[head].update(train_cfg=expected.train_cfg[part], test_cfg=expected.test_cfg[part])
    assert dict(found.kept) == dict(expected.train_cfg.rpn_proposal)
    for name in ("neck", "rpn_head", "roi_head"):
        ours, theirs = getattr(found, name), MODELS.build(expected[name])
        assert repr(ours) == repr(theirs)
        for key in ("train_cfg", "test_cfg"):
            own, other = getattr(ours, key, {}), getattr(theirs, key, {})
            assert own == {one: value for one, value in other.items() if one in own}
            assert set(other) - set(own) <= {"debug"}
    assert found.roi_head.bbox_roi_extractor.finest_scale == 56 and not found.roi_head.bbox_head.reg_class_agnostic
    assert found.roi_head.bbox_head.bbox_coder.stds == [0.1, 0.1, 0.2, 0.2]
    assert repr(found.rpn_head.prior_generator) == repr(theirs_prior(expected))


def theirs_prior(expected):
    from mmdet.registry import TASK_UTILS

    return TASK_UTILS.build(expected.rpn_head.anchor_generator)


@pytest.fixture(scope="module")
def official():
    """Ours with the options of the paper, and mmdetection's from its own configuration, with the same weights.

    With fewer classes, proposals and regions than the paper's, for speed.
    """
    about = ABOUT | {"mask_rcnn": defaults() | {"proposals": 60, "rois": 48}, "classes": 8}
    about["backbone"] = about["backbone"] | {"strides": [4, 8, 16, 32]}
    ours = detector.create(about, 0)
    from mmdet.models import MaskRCNN

    config = told()
    config.pop("type")
    config.roi_head.bbox_head.num_classes = config.roi_head.mask_head.num_classes = 8
    config.train_cfg.rpn_proposal.max_per_img = config.test_cfg.rpn.max_per_img = 60
    config.train_cfg.rcnn.sampler.num = 48
    config.data_preprocessor.type = "mmdet.DetDataPreprocessor"
    config["backbone"] = {"type": lambda: ours.backbone}
    config.neck.in_channels = ours.backbone.channels
    theirs = MaskRCNN(**config)
    names = ("neck", "rpn_head", "roi_head")
    for name in names:
        getattr(theirs, name).load_state_dict(getattr(ours, name).state_dict())
    return ours, theirs


def sample_of(target):
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    sample = DetDataSample(metainfo={"ori_shape": target.size, "img_shape": target.size, "scale_factor": (1.0, 1.0)})
    masks = BitmapMasks(target.masks.numpy().astype(np.uint8), *target.size)
    sample.gt_instances = InstanceData(bboxes=target.boxes, labels=target.labels, masks=masks)
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64))
    return sample


def asked(images, targets):
    """Images and objects as mmdetection's preprocessor takes them: BGR from 0 to 255."""
    inputs = [(255 * image).round().byte().flip(0) for image in images]
    return {"inputs": inputs, "data_samples": [sample_of(target) for target in targets]}


def cropped(image, target, height, width):
    """The upper left corner of an image, and the objects of the first eight classes that are in it."""
    inside = (target.boxes <= torch.tensor([width, height, width, height])).all(1) & (target.labels < 8)
    parts = (part[inside] for part in (target.boxes, target.labels, target.crowds))
    masks = target.masks[inside, :height, :width]
    return image[:, :height, :width], Annotations(*parts, masks, (height, width))


def test_losses_are_those_of_mmdetection(official, streets):
    ours, theirs = (model.train() for model in official)
    both = [cropped(*one, *size) for one, size in zip(zip(*streets, strict=True), [(80, 96), (96, 70)], strict=False)]
    images, targets = zip(*both, strict=True)
    assert all(len(target) for target in targets)
    padded = torch.rand(2, 3, 96, 96)  # whatever is beyond an image
    for place, image in zip(padded, images, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    torch.manual_seed(0)
    found = ours.losses(padded, targets)
    torch.manual_seed(0)
    expected = theirs(**theirs.data_preprocessor(asked(images, targets), training=True), mode="loss")
    for name, value in found.items():
        other = expected[f"loss_{name}"]
        torch.testing.assert_close(value, sum(other) if isinstance(other, list) else other, rtol=1e-4, atol=1e-5)


def test_predictions_are_those_of_mmdetection(official, streets):
    ours, theirs = (model.eval() for model in official)
    nn.init.normal_(ours.roi_head.bbox_head.fc_cls.weight, std=0.5)  # scores above the floor without training
    theirs.roi_head.bbox_head.fc_cls.load_state_dict(ours.roi_head.bbox_head.fc_cls.state_dict())
    image, target = cropped(streets[0][0], streets[1][0], 80, 96)
    with torch.no_grad():
        (found,) = ours(image[None])
        (expected,) = theirs(**theirs.data_preprocessor(asked([image], [target])), mode="predict")
    expected = expected.pred_instances
    assert len(found) > 10
    torch.testing.assert_close(found.boxes, expected.bboxes, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-3, atol=1e-4)
    assert torch.equal(found.labels, expected.labels)
    assert (found.masks != expected.masks).float().mean() < 1e-3


@pytest.mark.parametrize("arch", ["resnet50", "swin_tiny_patch4_window7_224"])
def test_native_networks_have_the_names_and_shapes_of_openmmlabs_checkpoints(arch):
    from mmdet.models import MaskRCNN
    from mmengine.registry import DefaultScope

    backbone = ABOUT["backbone"] | {"strides": [4, 8, 16, 32], "names": "native"}
    about = ABOUT | {"mask_rcnn": defaults(), "classes": 80, "arch": arch, "backbone": backbone}
    ours = detector.create(about, 0).state_dict()
    config = told()
    del config["type"], config["backbone"]["init_cfg"]
    if arch.startswith("swin"):
        config["backbone"] = {"type": "SwinTransformer", "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]}
        config.neck.in_channels = [96, 192, 384, 768]
    with DefaultScope.overwrite_default_scope("mmdet"):
        theirs = MaskRCNN(**config).state_dict()
    shapes = {key.replace("backbone.network.", "backbone."): value.shape for key, value in ours.items()}
    assert (shapes.pop("mean"), shapes.pop("std")) == ((1, 3, 1, 1), (1, 3, 1, 1))
    assert shapes == {key: value.shape for key, value in theirs.items()}
