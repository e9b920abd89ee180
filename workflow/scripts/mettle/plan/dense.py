"""Models of segmentation and detection: what of their rows and recipes fits, and what does not."""

from mettle.typed import DatasetRow, LinearHead, ModelRow, Recipe, UperNet
from mettle.units import sides, size_text


def check_task(task: str, dataset: DatasetRow, where: str) -> None:
    """Raise ValueError if a data set has no targets of the task that a model is for."""
    if task not in dataset["task"]:
        raise ValueError(
            f"{where}: trains for {task}, but data set '{dataset['dataset']}' has targets of "
            f"{', '.join(dataset['task'])} alone: change `task` of the recipe, or the data set"
        )


def check_fits(recipe: Recipe, dataset: DatasetRow, where: str) -> None:
    """Raise ValueError for images that are taken as they are but have another size than training takes.

    Images of detection are resized to `input.scale` in training as well, those of segmentation with a range alone.
    So it does for windows of segmentation that would leave parts of an image out.
    """
    for block in ("upernet", "linear"):
        _check_windows(recipe.get(block), block, where)
    size, stored, scale = recipe["input"]["size"], dataset["size"], recipe["input"]["scale"]
    detects = recipe["task"] == "detection"
    option = "short_sides" if detects else "resize_range"
    asked = recipe["augment"][option]
    if recipe["augment"].get("random_crop"):
        if stored and any(side < own for side, own in zip(sides(stored), sides(size), strict=True)):
            raise ValueError(
                f"{where}: images of '{dataset['dataset']}' have {stored} pixels a side, less than the crop of "
                f"{size_text(size)} that training takes: lower input.size"
            )
        return
    if asked and not scale:
        raise ValueError(f"{where}: augment.{option} is relative to input.scale, which is not set")
    if not (scale if detects else asked) and (not stored or sides(stored) != sides(size)):
        found = f"{stored} pixels a side" if stored else "different sizes"
        remedy = "input.scale" if detects else "augment.resize_range and input.scale"
        raise ValueError(
            f"{where}: images of '{dataset['dataset']}' have {found}, training takes {size_text(size)}: set {remedy}, "
            "or input.size"
        )


def _check_windows(options: UperNet | LinearHead | None, block: str, where: str) -> None:
    crop, stride = (options["crop"], options["stride"]) if options else (1, 1)
    if any(step > side for step, side in zip(sides(stride), sides(crop), strict=True)):
        raise ValueError(
            f"{where}: {block}.stride is {stride}, more than {block}.crop {crop}, and windows would leave parts of an "
            f"image out: set it to {crop} or less"
        )


def check_levels(recipe: Recipe, where: str) -> None:
    """Raise ValueError if the pyramid of a detector has fewer maps than are taken from its backbone."""
    levels, strides = recipe["mask_rcnn"]["levels"], recipe["backbone"]["strides"]
    if recipe["task"] == "detection" and levels < len(strides):
        raise ValueError(
            f"{where}: mask_rcnn.levels is {levels}, but backbone.strides takes {len(strides)} maps: raise levels to "
            f"{len(strides)}, or take fewer strides"
        )


def check_base(row: ModelRow, base: ModelRow | None, where: str) -> None:
    """Raise ValueError unless the base of a model is of its architecture."""
    if base is not None and base["arch"] != row["arch"]:
        raise ValueError(
            f"{where}: the base '{base['model']}' is of architecture '{base['arch']}', the model of '{row['arch']}': "
            "the backbone has to be that of the base"
        )
