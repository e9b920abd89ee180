"""Classes: which rows the labels of a data set depend on, and whether they are the classes of a model."""

from collections.abc import Mapping

from mettle.typed import DatasetRow

# Columns that are for some tasks only: the tasks, and whether one of them needs the column.
_OF_TASKS = {
    "classes": ({"classification", "segmentation", "detection"}, True),
    "map_classes": ({"segmentation"}, False),
    "ignore": ({"segmentation"}, False),
    "depth_min": ({"depth"}, True),
    "depth_max": ({"depth"}, True),
    "depth_unit": ({"depth"}, False),
    "depth_crop": ({"depth"}, False),
}
# Columns that class names may come from.
_CELLS = ("dataset", "reader", "classes", "map_classes", "source", "subset", "names", "train", "test")


def alike(datasets: Mapping[str, DatasetRow], one: str, other: str) -> bool:
    """Whether labels of two data sets can mean the same classes: they have the same number."""
    return datasets[one].get("classes") == datasets[other].get("classes")


def named_by(datasets: Mapping[str, DatasetRow], name: str) -> DatasetRow:
    """Columns of a data set's row that its class names may come from, with those of its parent.

    `parent_row` has the same for the parent, and so on, as long as the number of classes is the same; a data set with
    other classes than its parent has its own names.
    """
    row = datasets[name]
    found = {key: row[key] for key in _CELLS if row.get(key)}
    if row.get("parent") and alike(datasets, name, row["parent"]):
        found["parent_row"] = named_by(datasets, row["parent"])
    return found


def check_parents(datasets: Mapping[str, DatasetRow], sheet: str) -> None:
    """Raise ValueError for a data set that is its own parent, directly or through others."""
    for name in datasets:
        line = [name]
        while parent := datasets[line[-1]].get("parent"):
            if parent in line:
                raise ValueError(f"{sheet}, row '{name}', parent: leads back to itself, {' -> '.join([*line, parent])}")
            line.append(parent)


def check_targets(datasets: Mapping[str, DatasetRow], sheet: str) -> None:
    """Raise ValueError for cells of a row that do not fit its tasks or each other."""
    for name, row in datasets.items():
        where, tasks = f"{sheet}, row '{name}'", ", ".join(row["task"])
        for column, (needs, need) in _OF_TASKS.items():
            if (there := column in row) and needs.isdisjoint(row["task"]):
                cell = ",".join(map(str, row[column])) if isinstance(row[column], list) else f"{row[column]:g}"
                raise ValueError(f"{where}: column {column} is {cell}, but means nothing for {tasks}: empty it")
            if need and not there and not needs.isdisjoint(row["task"]):
                raise ValueError(f"{where}: column {column} is empty, but {tasks} needs it")
        if row.get("classes") == 1 and (row.get("train") or not row.get("parent")):
            raise ValueError(
                f"{where}: classes is 1, as for images without labels: these need a `parent`, whose models are "
                "compared on them, and have no train split"
            )
        if row.get("map_classes", row.get("classes", 0)) < row.get("classes", 0):
            raise ValueError(
                f"{where}: map_classes is {row['map_classes']}, but label maps have the {row['classes']} of `classes`, "
                "and may have more"
            )
        if "depth_max" in row and row["depth_min"] >= row["depth_max"]:
            raise ValueError(f"{where}: depth_min {row['depth_min']:g} is not below depth_max {row['depth_max']:g}")
        top, bottom, left, right = row.get("depth_crop", (0, 1, 0, 1))
        if top >= bottom or left >= right:
            raise ValueError(
                f"{where}: depth_crop {top},{bottom},{left},{right} is empty: write first row, row after the last, "
                "first column, column after the last"
            )
