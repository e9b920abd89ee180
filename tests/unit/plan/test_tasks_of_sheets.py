"""Tasks in the sheet of data sets: which columns go with which, what a split is packed from, and what counts."""

import pytest

from imports import ROOT
from mettle import schema
from mettle.plan import classes, given
from told import jobs
from workplace import DATASETS, Workplace

HEAD = "dataset\ttask\tclasses\tsize\treader\tsource\ttest\tmap_classes\tignore\t"
HEAD += "depth_min\tdepth_max\tdepth_unit\tdepth_crop\n"
MAPS = "maps\tsegmentation\t5\t0\tpascal\traw\tval\t{}\t{}\n"


@pytest.fixture
def sheet(tmp_path):
    def read(row):
        (tmp_path / "datasets.tsv").write_text(HEAD + row)
        rows = schema.read_sheet(tmp_path / "datasets.tsv", "datasets")
        classes.check_targets(rows, "datasets.tsv")
        return rows

    return read


def test_a_cell_may_list_tasks(sheet):
    row = sheet("a\tclassification, depth ,detection\t10\t96\tstreets\t\ttest\t\t\t1\t10\n")["a"]
    assert row["task"] == ["classification", "depth", "detection"]
    assert (row["depth_min"], row["depth_max"]) == (1, 10)


def test_depth_alone_has_no_classes(sheet):
    assert "classes" not in sheet("a\tdepth\t\t0\tnyu\traw\ttest\t\t\t1e-3\t10\n")["a"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a\tsegmntation\t5\t0\tpascal\traw\n", r"row 'a': 'task\.0' is 'segmntation': did you mean 'segmentation'\?$"),
        ("a\tdepth, depth\t\t0\tnyu\traw\n", r"row 'a': 'task' has an entry that appears twice, got"),
        ("a\tsegmentation\t\t0\tpascal\traw\n", "row 'a': column classes is empty, but segmentation needs it$"),
        ("a\tdepth\t\t0\tnyu\traw\ttest\t\t\t1\n", "row 'a': column depth_max is empty, but depth needs it$"),
        (
            "a\tdepth\t5\t0\tnyu\traw\ttest\t\t\t1\t9\n",
            "row 'a': column classes is 5, but means nothing for depth: empty",
        ),
        (
            "a\tdetection\t5\t0\tcoco\traw\ttest\t6\n",
            "row 'a': column map_classes is 6, but means nothing for",
        ),
        (
            "a\tdetection\t5\t0\tcoco\traw\ttest\t\t255\n",
            "row 'a': column ignore is 255, but means nothing for",
        ),
        (
            MAPS.format(6, 255).strip() + "\t1\n",
            "row 'maps': column depth_min is 1, but means nothing",
        ),
        (
            MAPS.format(4, 255),
            "row 'maps': map_classes is 4, but label maps have the 5 of `classes`, and may",
        ),
        ("a\tdepth\t\t0\tnyu\traw\ttest\t\t\t9\t9\n", "row 'a': depth_min 9 is not below depth_max 9$"),
        (
            "a\tdepth\t\t0\tnyu\traw\ttest\t\t\t1\t9\t\t4,4,0,8\n",
            "row 'a': depth_crop 4,4,0,8 is empty: write first row, row after the last, first column, column after",
        ),
        (
            MAPS.format(6, 255).strip() + "\t\t\t\t0,4,0,8\n",
            "row 'maps': column depth_crop is 0,4,0,8, but means nothing",
        ),
        ("a\tdepth\t\t0\tnyu\traw\ttest\t\t\t1\t9\t\t4,8\n", "row 'a': 'depth_crop' needs at least 4 entries, got"),
    ],
)
def test_cells_that_do_not_go_together_are_told(sheet, row, message):
    with pytest.raises(ValueError, match=message):
        sheet(row)


def test_the_plan_reads_them_too(tmp_path):
    place = Workplace(tmp_path)
    place.datasets(DATASETS, "roads\tsegmentation\t\t96\tstreets\ttrain\ttest")
    with pytest.raises(ValueError, match=r"row 'roads': column classes is empty, but segmentation needs it$"):
        place.plan()


@pytest.fixture
def plan(tmp_path):
    place = Workplace(tmp_path)
    place.datasets(DATASETS, "roads\tclassification, segmentation\t10\t96\tstreets\ttrain\ttest")
    return place.plan()


def test_targets_are_packed_beside_images_where_they_are_more_than_labels(plan):
    assert plan.dense == ["roads"] and plan.labelled == ["ten", "two"]
    stem = "results/prep/roads/test"
    files = [f"{stem}.{ending}" for ending in ("lmdb", "parquet", "targets.lmdb")]
    assert plan.packed({"dataset": "roads", "split": "test"}) == files
    assert plan.packed({"dataset": "ten", "split": "test"}) == [path.replace("roads", "ten") for path in files[:2]]
    found = jobs(plan, [f"{stem}.targets.lmdb", "results/prep/ten/test.lmdb"])
    assert set(found) == {("prep_dense", files[0]), ("prep", "results/prep/ten/test.lmdb")}


def test_tasks_count_where_there_are_targets_and_nowhere_else(plan):
    assert plan.content({"dataset": "roads", "split": "test"})["task"] == ["classification", "segmentation"]
    assert "task" not in plan.content({"dataset": "ten", "split": "test"})


def test_a_reader_of_folders_takes_those_of_its_split(tmp_path):
    row = {"source": str(tmp_path), "reader": "coco"}
    found = given.images(row, "val2017", tmp_path / "record", "row")
    assert found == [str(tmp_path / "annotations" / "instances_val2017.json"), str(tmp_path / "val2017")]
    found = given.images(
        row | {"source": f"{tmp_path}/nyu.zip#nyu", "reader": "nyu"}, "test", tmp_path / "record", "row"
    )
    assert found == [f"{tmp_path}/nyu.zip"]


def test_which_distances_count_is_part_of_what_is_packed(tmp_path):
    place = Workplace(tmp_path)
    place.datasets(DATASETS, "far\tclassification, depth\t10\t96\tstreets\ttrain\ttest\t1\t9")
    content = place.plan().content({"dataset": "far", "split": "test"})
    assert (content["depth_min"], content["depth_max"]) == (1, 9) and "depth_crop" not in content


def test_the_shipped_rows_go_with_their_tasks():
    rows = schema.read_sheet(ROOT / "config" / "datasets.tsv", "datasets")
    classes.check_targets(rows, "datasets.tsv")
    assert len(rows["streets"]["task"]) == 4
    assert rows["nyu"]["depth_crop"] == [45, 471, 41, 601]
    assert [rows[name]["task"] for name in ("ade20k", "coco", "nyu")] == [["segmentation"], ["detection"], ["depth"]]
