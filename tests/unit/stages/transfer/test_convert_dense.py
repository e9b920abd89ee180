"""Released segmenters and detectors: their weights under our names, or a sentence about what does not fit."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from dense_trainings import Job, row

from imports import ROOT
from mettle import models, schema
from mettle.models.adapters.dense import resize
from mettle.models.adapters.quiet import quiet
from mettle.plan.recipes import Recipes
from mettle.stages.transfer import convert
from mettle.stages.transfer.convert import as_published
from mettle.stages.transfer.kinds import KINDS

SWIN = "swin_tiny_patch4_window7_224"
NATIVE = {"backbone": {"names": "native"}}
SMALL = {
    "segmentation": {"upernet": {"channels": 8, "auxiliary_channels": 8, "pool_scales": [1, 2]}},
    "detection": {"mask_rcnn": {"channels": 8, "box_width": 16, "mask_width": 8}},
}


def recipe(task, **other):
    shape = {"size": 64, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}
    return schema.check({"task": task, "input": shape} | NATIVE | SMALL[task] | other, "recipe", "here")


def released(task, arch, options, seed=0):
    """A model as its framework makes it, with the names of OpenMMLab's checkpoints."""
    about = row() | {"arch": arch, "size": 64, "scale": None, "mean": [0.5] * 3, "std": [0.5] * 3} | options
    return as_published(KINDS[task].create(about, seed, 0.0))


def saved(path, state):
    whole = {"meta": {"epoch": 24, "mmdet_version": "2.16.0"}, "state_dict": state, "optimizer": {"state": {}}}
    torch.save(whole, path)
    return str(path)


CASES = [("segmentation", "resnet50"), ("segmentation", SWIN), ("detection", "resnet50")]


@pytest.mark.parametrize(("task", "arch"), CASES)
@torch.no_grad()
def test_every_entry_arrives_and_the_recipe_says_how_images_come(tmp_path, task, arch):
    options, target = recipe(task), tmp_path / "w.safetensors"
    theirs = released(task, arch, options, seed=7)
    source = saved(tmp_path / "c.pth", theirs.state_dict())
    told, job = row(arch=arch, source=source, format="", sha256=None), Job()
    convert(told, options, target, job, said={"licence": "MIT"})
    model, about = models.load(target, task=task, arch=arch)
    assert (about["source"], about["licence"], about["mean"]) == (source, "MIT", [0.4, 0.5, 0.6])
    found, state = as_published(model).state_dict(), theirs.state_dict()
    assert found.keys() == state.keys() and all(torch.equal(found[name], value) for name, value in state.items())
    assert job.said[-1] == "takes `state_dict`; mean and std of the recipe or row"
    if task == "segmentation":
        images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
        normalised = (images - torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)) / torch.tensor([0.2, 0.25, 0.3]).view(
            3, 1, 1
        )
        theirs.eval()
        expected = resize(theirs["decode_head"](theirs["backbone"](normalised)), (64, 96))
        torch.testing.assert_close(model(images), expected)


def test_missing_and_extra_entries_are_named(tmp_path):
    options = recipe("segmentation")
    state = released("segmentation", "resnet50", options).state_dict()
    del state["backbone.layer4.0.conv1.weight"]
    source = saved(tmp_path / "c.pth", state | {"neck.more.weight": torch.ones(2, 2)})
    with pytest.raises(ValueError) as caught:
        convert(row(arch="resnet50", source=source, format=""), options, tmp_path / "w.safetensors", Job())
    assert str(caught.value) == (
        f"{source} does not fit Segmenter: missing backbone.network.layer4.0.conv1.weight; extra neck.more.weight"
    )
    assert not (tmp_path / "w.safetensors").exists()


def test_another_file_than_the_rows_is_refused(tmp_path):
    source = saved(tmp_path / "c.pth", {})
    told = row(arch="resnet50", source=source, format="", sha256="0" * 64)
    with pytest.raises(ValueError, match=r"c\.pth has SHA-256 [0-9a-f]{64}, the row says 0{64}: download it again"):
        convert(told, recipe("segmentation"), tmp_path / "w.safetensors", Job())


# The recipes of the released models, against the configurations of the frameworks


def configuration(package, name):
    from mmengine.config import Config

    folder = Path(find_spec(package).submodule_search_locations[0]) / ".mim" / "configs" / "_base_" / "models"
    return Config.fromfile(folder / f"{name}.py").model


def upernet(name):
    config = configuration("mmseg", name)
    config.data_preprocessor, config.backbone.norm_cfg = None, {"type": "LN" if "swin" in name else "BN"}
    if "swin" not in name:
        config.backbone.type = "ResNet"
    for head in (config.decode_head, config.auxiliary_head):
        head.update(num_classes=150, norm_cfg={"type": "BN"})
    if "swin" in name:
        config.decode_head.in_channels, config.auxiliary_head.in_channels = [96, 192, 384, 768], 384
    return config


def mask_rcnn(swin):
    config = configuration("mmdet", "mask-rcnn_r50_fpn")
    del config.backbone["init_cfg"]
    if swin:
        config.backbone = {"type": "SwinTransformer", "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]}
        config.neck.in_channels = [96, 192, 384, 768]
    return config


CONFIGURATIONS = {
    "coco_maskrcnn_r50_native": ("mmdet", lambda: mask_rcnn(False)),
    "coco_maskrcnn_swin_t_native": ("mmdet", lambda: mask_rcnn(True)),
    "ade20k_upernet_r50_native": ("mmseg", lambda: upernet("upernet_r50")),
    "ade20k_upernet_swin_t_native": ("mmseg", lambda: upernet("upernet_swin")),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_recipes_make_the_networks_of_the_configurations(name):
    from mmengine.registry import DefaultScope

    package, config = CONFIGURATIONS[name]
    options = Recipes(ROOT / "config" / "recipes").get(name, trains=False)
    task, arch = options["task"], SWIN if "swin" in name else "resnet50"
    about = row(arch=arch, classes=80, map_classes=150, ignore=255) | options["input"] | options
    ours = as_published(KINDS[task].create(about, 0, 0.0))
    with DefaultScope.overwrite_default_scope(package), quiet():
        theirs = import_module(f"{package}.registry").MODELS.build(config())
    shapes = [{key: value.shape for key, value in one.state_dict().items()} for one in (ours, theirs)]
    assert shapes[0] == shapes[1]
