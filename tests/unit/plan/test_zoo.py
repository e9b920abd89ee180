"""Sources of RobustBench: what entries of the zoo stand for, rows that name them, and their published numbers."""

import re
from itertools import groupby

import pytest

from imports import ROOT
from mettle import schema
from mettle.models import ARCHITECTURES
from mettle.models.published import FORMATS
from mettle.plan import Plan, names, sources, zoo

SHEET = ROOT / "config" / "models" / "robustbench.tsv"
DATASETS = {"cifar10": {"classes": 10}, "cifar100": {"classes": 100}, "imagenet": {"classes": 1000}}
USABLE = {name: entry for name, entry in zoo.entries().items() if "lacks" not in entry}


def row(source, dataset="cifar10", **cells):
    written = {"model": "m", "dataset": dataset, "source": f"robustbench:{source}"} | cells
    return schema.check(written, "models", "sheet, row 'm'")


def filled(*args, **cells):
    found = row(*args, **cells)
    zoo.fill(found, DATASETS, "sheet, row 'm'")
    return found


def fault(*args, **cells):
    with pytest.raises(ValueError, match=r"^sheet, row 'm': ") as error:
        filled(*args, **cells)
    return str(error.value).removeprefix("sheet, row 'm': ")


def plan(tmp_path, *lines, **config):
    sheet = tmp_path / "models.tsv"
    sheet.write_text("\n".join(["model\tdataset\tsource", *("\t".join(line) for line in lines)]))
    return Plan({"models": str(sheet), "sweeps": [], "figures": {}} | config)


# The data


def test_every_published_row_is_an_entry_and_the_other_way_round():
    published = schema.read_sheet(ROOT / zoo.PUBLISHED, "published")
    assert list(published) == list(zoo.entries()) and len(published) == 236
    boards = {board: len(list(group)) for board, group in groupby(published, lambda name: name.rpartition("/")[0])}
    assert boards == {
        "cifar10/Linf": 99,
        "cifar10/L2": 21,
        "cifar10/corruptions": 23,
        "cifar100/Linf": 38,
        "cifar100/corruptions": 13,
        "imagenet/Linf": 30,
        "imagenet/corruptions": 12,
    }
    images = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet": "imagenet_rb5000"}
    for name, numbers in published.items():
        dataset, threat, _ = name.split("/")
        assert numbers["images"] == images[dataset] and numbers["title"] and numbers["architecture"], name
        attacked = threat != "corruptions"
        assert ("corruptions" in numbers) != attacked == ("autoattack" in numbers) == ("best" in numbers), name
        if attacked:
            assert numbers["norm"] == threat.lower() and numbers["best"] <= numbers["autoattack"], name
            assert (numbers["best"] < numbers["autoattack"]) == ("other than AutoAttack" in numbers.get("note", ""))
        assert ("weights not published" in numbers.get("note", "")) == (
            zoo.entries()[name].get("lacks") == "it has no weights in the zoo"
        ), name


@pytest.mark.parametrize(
    ("name", "numbers"),
    [  # https://robustbench.github.io
        ("cifar10/Linf/Carmon2019Unlabeled", {"clean": 0.8969, "autoattack": 0.5953, "extra_data": "yes"}),
        ("cifar10/Linf/Gowal2021Improving_28_10_ddpm_100m", {"clean": 0.875, "autoattack": 0.6344, "best": 0.6338}),
        ("cifar10/corruptions/Hendrycks2020AugMix_WRN", {"clean": 0.9508, "corruptions": 0.8882}),
        ("imagenet/corruptions/Tian2022Deeper_DeiT-B", {"corruptions": 0.6755, "mce": 0.417}),
        ("cifar10/Linf/Xiao2020Enhancing", {"eps": 0.031, "autoattack": 0.185, "best": 0.074}),
    ],
)
def test_published_numbers(name, numbers):
    published = schema.read_sheet(ROOT / zoo.PUBLISHED, "published")[name]
    assert {key: published[key] for key in numbers} == numbers


def test_every_usable_entry_has_an_architecture_a_format_and_an_address_of_ours():
    arches = names.known_architectures()
    assert len(USABLE) == 162
    for name, entry in USABLE.items():
        assert entry["arch"] in arches and entry.get("format", "") in {"", *FORMATS}, name
        assert sources.parse(entry["source"], name).remote, name
        # 32-pixel images reach a network as they are, others by way of a crop
        assert ("resize" in entry) == ("interpolation" in entry) == name.startswith("imagenet/"), name
        assert entry["size"] == (224 if name.startswith("imagenet/") else 32)
        assert (entry["eps"] == 0) == (entry["threat"] == "none"), name
        silu = entry["arch"].endswith("_silu")
        assert (entry.get("format") == "deepmind") == silu, name
    for name, entry in zoo.entries().items():
        assert name in USABLE or set(entry) == {"entry", "lacks"}, name


def test_threat_and_eps_are_those_of_the_ball_of_the_published_number_or_none():
    published = schema.read_sheet(ROOT / zoo.PUBLISHED, "published")
    for name, entry in USABLE.items():
        if name.split("/")[1] != "corruptions" and not name.rpartition("/")[2].startswith("Standard"):
            assert (entry["threat"], entry["eps"]) == (published[name]["norm"], published[name]["eps"]), name
    assert zoo.entries()["cifar10/corruptions/Rebuffi2021Fixing_70_16_cutmix_extra_L2"]["threat"] == "l2"
    assert zoo.entries()["imagenet/Linf/Standard_R50"]["threat"] == "none"


@pytest.mark.parametrize(
    ("name", "resize", "interpolation", "mean"),
    [  # each as the zoo's own loader has it
        ("Salman2020Do_R50", 256, "bilinear", 0.485),
        ("Liu2023Comprehensive_Swin-B", 256, "bicubic", 0.485),
        ("Mo2022When_ViT-B", [224, 224], "bilinear", 0.485),
        ("Debenedetti2022Light_XCiT-S12", 224, "bicubic", 0),
        ("Chen2024Data_WRN_50_2", 256, "bilinear", 0),
    ],
)
def test_preprocessing_is_that_of_each_entry(name, resize, interpolation, mean):
    found = filled(f"imagenet/Linf/{name}", "imagenet")
    assert (found["resize"], found["interpolation"], found["mean"][0]) == (resize, interpolation, mean)


# Rows


def test_a_row_of_name_dataset_and_source_is_a_checkpoint_like_any_other(tmp_path):
    name = "cifar10/Linf/Gowal2021Improving_28_10_ddpm_100m"
    made = plan(tmp_path, ("mine", "cifar10", f"robustbench:{name}"), expected=[zoo.PUBLISHED])
    found = made.models["mine"]
    assert (found["arch"], found["format"], found["threat"]) == ("wide_resnet28_10_silu", "deepmind", "linf")
    assert found["eps"] == 8 / 255 and found["label"] == name.rpartition("/")[2]
    assert found["reference"] == "Improving Robustness using Generated Data (NeurIPS 2021)"
    (download,) = made.downloads.values()
    assert download["url"] == found["source"] == zoo.entries()[name]["source"]
    (expected,) = made.said({"model": "mine"})["expected"]
    assert expected["autoattack"] == 0.6344
    assert made.recipe_of("mine")["input"]["mean"] == [0.4914, 0.4822, 0.4465]


def test_cells_that_agree_may_be_stated_and_label_reference_and_licence_are_free():
    found = filled("cifar10/L2/Standard", arch="wide_resnet28_10", size=32, label="ours", licence="none")
    assert (found["label"], found["licence"], found["reference"]) == ("ours", "none", "Standardly trained model")
    assert "part" not in found and filled("cifar10/corruptions/Kireev2021Effectiveness_RLAT")["part"] == "last"


def test_other_rows_are_left_alone():
    other = {"model": "m", "dataset": "cifar10", "arch": "resnet18", "source": "https://host/a.pt"}
    before = dict(other)
    zoo.fill(other, DATASETS, "here")
    assert other == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar10/Linf/Carmon2019Unlabelled", "has no '.*': did you mean 'Carmon2019Unlabeled'?"),
        (
            "cifar10/linf/Carmon2019Unlabeled",
            "; there are cifar10/Linf, cifar10/L2, cifar10/corruptions, cifar100/Linf",
        ),
        (
            "cifar10/Linf/zzz",
            "has no 'cifar10/Linf/zzz'; workflow/scripts/mettle/plan/robustbench.tsv lists its entries",
        ),
        ("cifar10/Linf/Kang2021Stable", "cannot be used, since it is a wide ResNet-70-16 and a neural ODE; of "),
        ("cifar10/Linf/Kang2021Stable", "; of cifar10/Linf there are preact_resnet_18_silu, .*, wide_resnet28_10, "),
        ("imagenet/Linf/Wong2020Fast", "since it is a network for the centre of 288 pixels of images that are not"),
        ("cifar10/Linf/Madry2018Towards", "since it has no weights in the zoo; of "),
        (
            "cifar100/Linf/Rice2020Overfitting",
            "'cifar100/Linf/Rice2020Overfitting' .* has 100 classes, 'cifar10' has 10",
        ),
        ("cifar10/Linf", "is 'robustbench:cifar10/Linf', not of the form robustbench:DATASET/THREAT/NAME"),
        ("cifar10/L2/Standard#a", "nothing comes after 'robustbench:cifar10/L2/Standard', got '#a'"),
    ],
)
def test_sources_that_are_refused(name, message):
    assert re.search(message.replace("?", "[?]"), fault(name))


def test_cells_that_disagree_are_refused():
    source = "robustbench:cifar10/L2/Standard"
    message = f"column arch is 'resnet18', but its source '{source}' has 'wide_resnet28_10': leave the cell empty"
    assert fault("cifar10/L2/Standard", arch="resnet18") == message
    assert "column mean is 0.5, 0.5, 0.5, but" in fault("cifar10/L2/Standard", mean=[0.5] * 3)
    assert "column resize is '40', but" in fault("cifar10/L2/Standard", resize=40)


def test_a_row_without_architecture_and_without_the_zoo_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"models.tsv, row 'mine': column 'arch' is empty$"):
        plan(tmp_path, ("mine", "cifar10", "resources/a.pt"))


# The shipped sheet


def test_the_shipped_rows_are_the_wide_resnets_and_are_attacked_where_they_have_a_published_number():
    rows = schema.read_sheet(SHEET, "models")
    assert len(rows) == 79 and all(row["apart"] for row in rows.values())
    made = Plan(schema.read_yaml(ROOT / "config" / "robustbench.yaml") | {"models": str(SHEET)})
    assert {made.models[name]["arch"].rpartition("resnet")[0] for name in rows} == {"wide_"}
    assert {made.models[name]["arch"] for name in rows} <= ARCHITECTURES.keys()
    cells = made.cells("published")
    assert len(cells) == 69 and len(set(cells)) == 69
    assert any(cell.endswith("Cui2020Learnable_34_20/autoattack_linf_eps0_031.parquet") for cell in cells)
