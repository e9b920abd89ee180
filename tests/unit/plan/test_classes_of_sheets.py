"""Classes in the plan: which rows decide the labels of a data set, and what needs labels that a model knows."""

import re
from pathlib import Path

import pytest
import yaml

from imports import ROOT
from mettle import schema
from mettle.data.classes import known
from mettle.plan import Plan, check_targets, classes
from workplace import BASE

ATTACK = {"method": "pgd", "norm": "l2", "eps": 0.5, "steps": 2}
HEAD = "dataset\ttask\tclasses\tsize\treader\tsource\tsubset\ttrain\ttest\tparent\tnames\n"
BIG = "big\tclassification\t100\t0\tfolder\tresources/big\t\ttrain\tval\t\tbig.txt\n"
PART = "part\tclassification\t{classes}\t0\tfolder\tresources/part\tfiles.txt\t\tval\tbig\t\n"


@pytest.fixture
def plan(tmp_path):
    def make(*rows, figures=None, **recipe):
        (tmp_path / "recipes").mkdir(exist_ok=True)
        (tmp_path / "recipes" / "plain.yaml").write_text(yaml.safe_dump(BASE | recipe))
        (tmp_path / "datasets.tsv").write_text(HEAD + "".join(rows))
        model = "resnet8-plain-s0\tbig\tresnet8\tplain\tnone\t0\t0\ttrain\n"
        (tmp_path / "models.tsv").write_text("model\tdataset\tarch\trecipe\tthreat\teps\tseed\tsource\n" + model)
        places = {"datasets": "datasets.tsv", "models": "models.tsv", "recipes": "recipes"}
        config = {key: str(tmp_path / value) for key, value in places.items()}
        found = Plan(config | {"attack": {"attacks": {"weak": ATTACK}}, "figures": figures or {}})
        check_targets(found, [])
        return found

    return make


CELL = {"dataset": "part", "set": "group", "model": "resnet8-plain-s0"}


def test_labels_come_from_the_row_and_its_parent(plan):
    found = plan(BIG, PART.format(classes=100)).prep_row({"dataset": "part"})
    assert found["subset"] == "files.txt" and found["names"] == ""
    assert found["parent_row"] == {
        "dataset": "big",
        "reader": "folder",
        "classes": 100,
        "source": "resources/big",
        "names": "big.txt",
        "train": "train",
        "test": "val",
    }


def test_the_shipped_5000_images_have_the_1000_classes_of_imagenet():
    rows = schema.read_sheet(ROOT / "config" / "datasets.tsv", "datasets")
    found = known(classes.named_by(rows, "imagenet_rb5000"))
    assert len(found.names) == 1000 and found.names == sorted(found.names) and found.of == rows["imagenet"]["names"]


def test_a_parent_with_other_classes_names_none(plan):
    assert "parent_row" not in plan(BIG, PART.format(classes=10)).prep_row({"dataset": "part"})


def test_what_a_parent_costs_or_where_it_is_from_is_no_matter_of_labels():
    rows = {"a": {"dataset": "a", "classes": 2, "parent": "b"}, "b": {"dataset": "b", "classes": 2, "home": "x"}}
    assert classes.named_by(rows, "a") == {"dataset": "a", "classes": 2, "parent_row": {"dataset": "b", "classes": 2}}


def test_a_parent_that_leads_back_is_refused(plan):
    with pytest.raises(
        ValueError, match=r"datasets\.tsv, row 'big', parent: leads back to itself, big -> part -> big$"
    ):
        plan(BIG.replace("\tval\t\t", "\tval\tpart\t"), PART.format(classes=100))


def test_with_the_parents_classes_labels_can_be_scored(plan):
    found = plan(BIG, PART.format(classes=100))
    assert found.scored_store(CELL) == found.test_store(CELL) == ["results/prep/part/val.lmdb", found.stores(CELL)[1]]


def test_with_other_classes_images_are_compared_but_labels_are_not_scored(plan):
    found = plan(BIG, PART.format(classes=10))
    message = (
        r"models\.tsv, row 'resnet8-plain-s0': answers with the 100 classes of 'big', but labels are the 10 classes of "
        "'part': on these images models can be represented and compared, not scored$"
    )
    with pytest.raises(ValueError, match=message):
        found.scored_store(CELL)
    with pytest.raises(ValueError, match=message):
        found.represented(CELL | {"images": "natural", "groups": "correctness"})
    for groups in ({}, {"groups": "agreement"}, {"groups": "confidence"}):
        assert found.represented(CELL | {"images": "natural"} | groups)
    assert found.image_set(CELL | {"images": "natural"}) == found.stores(CELL)


def test_images_without_labels_are_one_class_of_a_parent_and_can_only_be_compared(plan):
    asked = plan(BIG, PART.format(classes=1))
    assert asked.test_store(CELL) == ["results/prep/part/val.lmdb", "results/prep/part/val.parquet"]
    with pytest.raises(
        ValueError, match="labels are the one class of 'part': on these images models can be represented"
    ):
        asked.scored_store(CELL)
    for alone in ("\tval\t\t\n", "train\tval\tbig\t\n"):
        row = PART.format(classes=1).replace("\tval\tbig\t\n", alone)
        with pytest.raises(
            ValueError, match=r"row 'part': classes is 1, .* need a `parent`, .* and have no train split$"
        ):
            plan(BIG, row)


def test_a_table_of_accuracies_holds_what_can_be_scored(plan):
    shown = {"accuracy": {"evaluations": [{"datasets": ["big", "part"], "attacks": ["weak"]}]}}
    found = plan(BIG, PART.format(classes=100), figures=shown)
    assert found.cells("accuracy") == [
        f"results/attack/{name}/resnet8-plain-s0/weak.parquet" for name in ("big", "part")
    ]
    with pytest.raises(
        ValueError, match="answers with the 100 classes of 'big', but labels are the 10 classes of 'part'"
    ):
        plan(BIG, PART.format(classes=10), figures=shown)


def test_what_compares_labels_with_answers_asks_for_such_a_store():
    text = (Path(classes.__file__).parents[3] / "rules" / "attack.smk").read_text()
    for images in ("images_of", "manifests_of"):
        counts = [text.count(f"{images}(PLAN.{store})") for store in ("scored_store", "classified_store")]
        assert counts == [2, 3] and "PLAN.test_store" not in text


# Sizes


def shape(size, resize):
    return {"input": BASE["input"] | {"size": size, "resize": resize}}


def test_a_resize_below_the_input_is_refused(plan):
    message = (
        r"plain\.yaml: input\.resize is 16, less than input\.size 32: images would get a black border; set it to 32 or"
    )
    with pytest.raises(ValueError, match=message):
        plan(BIG, PART.format(classes=100), **shape(32, 16))
    for resize in (32, 36):
        plan(BIG, PART.format(classes=100), **shape(32, resize))


@pytest.mark.parametrize(("resize", "least"), [(20, 24), ([24, 36], [24, 40]), ([20, 48], [24, 40])])
def test_a_resize_below_a_rectangular_input_is_refused(plan, resize, least):
    message = rf"input\.resize is {re.escape(str(resize))}, less than .* set it to {re.escape(str(least))} or more$"
    with pytest.raises(ValueError, match=message):
        plan(BIG, PART.format(classes=100), **shape([24, 40], resize))
    plan(BIG, PART.format(classes=100), **shape([24, 40], least))


@pytest.mark.parametrize("size", [[24], [24, 40, 3], [0, 24], "24x40"])
def test_a_size_is_a_side_or_height_and_width(plan, size):
    with pytest.raises(ValueError, match=r"plain\.yaml: 'input\.size"):
        plan(BIG, PART.format(classes=100), **shape(size, None))


@pytest.mark.parametrize("size", [31, 33, 64])
def test_images_of_another_size_need_a_resize(plan, size):
    sheet = BIG.replace("\t0\t", f"\t{size}\t"), PART.format(classes=100)
    message = rf"row 'resnet8-plain-s0', recipe 'plain': images of 'big' have {size} pixels a side, but the network ta"
    with pytest.raises(ValueError, match=message):
        plan(*sheet)
    plan(*sheet, **shape(32, 40))
    plan(*sheet, **shape(size, None))


def test_so_do_those_of_another_data_set(plan):
    sheet = BIG, PART.format(classes=100).replace("\t0\t", "\t64\t")
    with pytest.raises(ValueError, match="row 'resnet8-plain-s0': images of 'part' have 64 pixels a side, but the "):
        plan(*sheet).test_store(CELL)
    assert plan(*sheet, **shape(32, 64)).test_store(CELL)


def test_so_do_those_that_are_mixed_in(plan):
    sheet = BIG, PART.format(classes=100).replace("\t0\t", "\t64\t")
    with pytest.raises(ValueError, match="recipe 'plain': images of 'part' have 64 pixels a side"):
        plan(*sheet, mix={"dataset": "part"})
    plan(*sheet, mix={"dataset": "part"}, augment={"random_resized_crop": True})


def test_sizes_of_a_converted_model_are_compared_too(plan, tmp_path):
    sheet = BIG, PART.format(classes=100).replace("\t0\t", "\t64\t")
    plan(*sheet)
    (tmp_path / "recipes" / "plain.yaml").write_text(yaml.safe_dump({"input": BASE["input"]}))
    sheet = tmp_path / "models.tsv"
    sheet.write_text(sheet.read_text().replace("\ttrain\n", "\ta.pt\n"))
    places = {"datasets": "datasets.tsv", "models": "models.tsv", "recipes": "recipes"}
    found = Plan({key: str(tmp_path / value) for key, value in places.items()} | {"figures": {}})
    assert found.test_store({"model": "resnet8-plain-s0"}) == [
        "results/prep/big/val.lmdb",
        "results/prep/big/val.parquet",
    ]
    with pytest.raises(ValueError, match="images of 'part' have 64 pixels a side"):
        found.test_store(CELL)
