"""Models of segmentation and detection: what of their rows and recipes fits, and what does not."""

from mettle.typed import DatasetRow, ModelRow, Recipe
from mettle.units import sides, size_text


def check_task(task: str, dataset: DatasetRow, where: str) -> None:
    """Raise ValueError if a data set has no targets of the task that a model is for."""
    if task not in dataset["task"]:
        raise ValueError(
            f"{where}: trains for {task}, but data set '{dataset['dataset']}' has targets of "
            f"{', '.join(dataset['task'])} alone: change `task` of the recipe, or the data set"
        )


def check_fits(recipe: Recipe, dataset: DatasetRow, where: str) -> None:
    """Raise ValueError for images that are taken as they are but have another size than training takes."""
    size, stored, scale = recipe["input"]["size"], dataset["size"], recipe["input"]["scale"]
    resizes, remedy = recipe["augment"]["resize_range"], "augment.resize_range and input.scale, or input.size"
    if recipe["task"] == "detection":  # whose images are resized to the scale in training too
        resizes, remedy = scale, "input.scale, or input.size"
    if resizes and not scale:
        raise ValueError(f"{where}: augment.resize_range is a factor on input.scale, which is not set")
    if not resizes and (not stored or sides(stored) != sides(size)):
        found = f"{stored} pixels a side" if stored else "different sizes"
        raise ValueError(
            f"{where}: images of '{dataset['dataset']}' have {found}, training takes {size_text(size)}: set {remedy}"
        )


def check_base(row: ModelRow, base: ModelRow | None, where: str) -> None:
    """Raise ValueError unless the base of a model is of its architecture."""
    if base is not None and base["arch"] != row["arch"]:
        raise ValueError(
            f"{where}: the base '{base['model']}' is of architecture '{base['arch']}', the model of '{row['arch']}': "
            "the backbone has to be that of the base"
        )
