"""What of a detector's row, recipe and data set does not fit, before any job starts."""

import pytest
import test_dense_plan
import yaml

from imports import ROOT
from mettle import schema
from mettle.plan import Plan, dense
from mettle.plan.recipes import Recipes

SHAPE = {"mean": [0.5] * 3, "std": [0.25] * 3}
STREETS = {"dataset": "streets", "task": ["classification", "detection"], "size": 96}
COCO = {"dataset": "coco", "task": ["detection"], "size": 0}


def recipe(scale=None, size=96, **other):
    given = {"task": "detection", "input": {"size": size, "scale": scale} | SHAPE}
    return schema.check(given | other, "recipe", "here")


def test_images_of_one_size_are_taken_as_they_are_and_others_are_resized():
    dense.check_fits(recipe(), STREETS, "here")
    dense.check_fits(recipe([1333, 800], augment={"short_sides": [480]}), COCO, "here")
    with pytest.raises(ValueError, match=r"^here: images of 'coco' have different sizes, training takes 96x96: set"):
        dense.check_fits(recipe(), COCO, "here")
    with pytest.raises(ValueError, match=r"96 pixels a side, training takes 64x64: set input.scale, or input.size$"):
        dense.check_fits(recipe(size=64), STREETS, "here")


def test_shorter_sides_need_a_longest():
    with pytest.raises(ValueError, match=r"here: augment.short_sides is relative to input.scale, which is not set"):
        dense.check_fits(recipe(augment={"short_sides": [64]}), STREETS, "here")


def test_a_pyramid_has_a_map_for_each_of_the_backbone():
    dense.check_levels(recipe(mask_rcnn={"levels": 4}), "here")
    with pytest.raises(ValueError, match=r"mask_rcnn.levels is 3, but backbone.strides takes 4 maps: raise levels"):
        dense.check_levels(recipe(mask_rcnn={"levels": 3}), "here")


def test_a_data_set_without_objects_is_refused():
    with pytest.raises(ValueError, match="trains for detection, but data set 'd' has targets of depth alone"):
        dense.check_task("detection", {"dataset": "d", "task": ["depth"]}, "here")


@pytest.mark.parametrize("masks", [True, False])
def test_average_precision_of_masks_is_refused_where_a_detector_predicts_none(masks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    detector = test_dense_plan.PLAIN | {"task": "detection", "mask_rcnn": {"masks": masks}}
    for name, content in (("plain", test_dense_plan.PLAIN), ("found", detector)):
        (tmp_path / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    rows = [test_dense_plan.BASE, test_dense_plan.ROW | {"model": "boxes", "recipe": "found", "transfer": "full"}]
    lines = ["\t".join(one.get(column, "") for column in test_dense_plan.HEAD.split()) for one in rows]
    (tmp_path / "models.tsv").write_text(test_dense_plan.HEAD + "\n".join(lines) + "\n")
    sheet = test_dense_plan.DATASETS.replace("classification, segmentation", "classification, segmentation, detection")
    (tmp_path / "datasets.tsv").write_text(sheet)
    figures = {"transfer": {"datasets": ["lanes"], "corruptions": "some", "detection": "mask_ap"}}
    figures["prime"] = figures["transfer"] | {"modes": ["full"], "detection": "box_ap"}
    sheets = {"models": "models.tsv", "datasets": "datasets.tsv", "recipes": "recipes"}
    found = Plan(sheets | {"corrupt": {"corruptions": {"some": {}}}, "figures": figures})
    assert found.cells("prime") == [cell := "results/robustness/lanes/boxes/some.parquet"]
    if masks:
        assert found.cells("transfer") == [cell]
        return
    with pytest.raises(
        ValueError,
        match=r"^configuration: figures.transfer.detection is mask_ap, but 'boxes' predicts no masks: set "
        r"mask_rcnn.masks of recipe 'found' to true, or name only models with masks in its `models`$",
    ):
        found.cells("transfer")


# The recipes of the study, to the digit


def shipped(name):
    return Recipes(ROOT / "config" / "recipes").get(name, "here")


def test_the_recipe_of_resnet_50():
    found = shipped("coco_maskrcnn_r50")
    optimizer, schedule = found["optimizer"], found["schedule"]
    assert (optimizer["name"], optimizer["lr"], optimizer["momentum"]) == ("sgd", 0.04, 0.9)
    assert optimizer["weight_decay"] == 1e-4
    assert not optimizer["nesterov"] and optimizer["decay_all"] and optimizer["scaling"] == "none"
    assert (found["epochs"], schedule["milestones"], schedule["factor"]) == (24, [16, 22], 0.1)
    assert (schedule["warmup_updates"], schedule["warmup_ratio"]) == (500, 0.001)
    assert found["backbone"]["frozen_stages"] == 1 and found["backbone"]["norm_eval"]
    assert found["input"]["scale"] == [1333, 800] and found["augment"]["horizontal_flip"]
    assert [round(255 * value, 3) for value in found["input"]["mean"]] == [123.675, 116.28, 103.53]
    assert [round(255 * value, 3) for value in found["input"]["std"]] == [58.395, 57.12, 57.375]
    assert shipped("coco_maskrcnn_r50_regular")["optimizer"] == optimizer | {"lr": 0.02}


def test_the_recipe_of_swin_t():
    found = shipped("coco_maskrcnn_swin_t")
    optimizer, schedule, augment = (found[key] for key in ("optimizer", "schedule", "augment"))
    assert (optimizer["name"], optimizer["lr"], optimizer["momentum"]) == ("adamw", 1e-4, 0.9)
    assert optimizer["weight_decay"] == 0.05
    assert optimizer["no_decay"] == ["norm", "absolute_pos_embed", "relative_position_bias_table"]
    assert (found["epochs"], schedule["milestones"], schedule["warmup_updates"]) == (24, [16, 22], 500)
    assert (found["batch_size"], found["drop_path"], found["precision"]) == (16, 0.2, "bf16")
    assert augment["short_sides"] == list(range(480, 801, 32)) and augment["crop_short_sides"] == [400, 500, 600]
    assert augment["crop_range"] == [384, 600] and found["backbone"]["frozen_stages"] == 0


def test_heads_of_both_have_the_defaults():
    for name in ("coco_maskrcnn_r50", "coco_maskrcnn_swin_t"):
        assert shipped(name)["mask_rcnn"] == recipe()["mask_rcnn"]
