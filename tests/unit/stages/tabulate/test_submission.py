"""Submissions to RobustBench: numbers by hand, the leaderboard's own entries, and masks for every image."""

import json
import types

import pandas as pd
import pytest

from mettle import tables
from mettle.plan import zoo
from mettle.stages.tabulate import submission

FACTS = {"model": "m", "attack": "aa", "threat": "linf", "eps": 8 / 255, "arch": "resnet18", "label": "M"}
FACTS |= {"dataset": "cifar10", "reference": "A paper (ICLR 2030)", "extra_data": False, "paper": {}}
# Of github.com/RobustBench/robustbench at 78fcc9e, model_info/cifar10/Linf/Carmon2019Unlabeled.json.
CARMON = {
    "link": "https://arxiv.org/abs/1905.13736",
    "name": "Unlabeled Data Improves Adversarial Robustness",
    "authors": "Yair Carmon, Aditi Raghunathan, Ludwig Schmidt, Percy Liang, John C. Duchi",
    "additional_data": True,
    "number_forward_passes": 1,
    "dataset": "cifar10",
    "venue": "NeurIPS 2019",
    "architecture": "WideResNet-28-10",
    "eps": "8/255",
    "clean_acc": "89.69",
    "reported": "62.50",
    "autoattack_acc": "59.53",
    "unreliable": False,
}


@pytest.fixture
def job():
    said = []
    return types.SimpleNamespace(say=said.append, said=said, provenance={"rule": "submission"})


def cell(path, attack, robust, clean=9, ids=range(10), dataset="cifar10", **more):
    """A cell of 10 images: those of `ids` below `clean` are right when clean, those in `robust` when attacked."""
    row = {"dataset": dataset, "split": "test", "model": "m", "attack": attack, "norm": "linf", "eps": 8 / 255}
    row |= {"label": 0, "clean_loss": 0.1, "loss": 1.0, "margin": 0.1, "distance": 0.01, "queries": 5, "note": None}
    row |= dict.fromkeys(("gradient_zero", "randomised", "probabilities"), False) | more
    found = [row | {"id": i, "clean_prediction": int(i >= clean), "prediction": int(i not in robust)} for i in ids]
    tables.write(path, tables.ATTACK, pd.DataFrame(found))
    return path


def written(tmp_path, job, *cells, **facts):
    submission.write(cells, FACTS | facts, tmp_path / "m.json", tmp_path / "m.parquet", job)
    return json.loads((tmp_path / "m.json").read_text()), tables.read(tmp_path / "m.parquet", tables.SUBMISSION)


def test_the_entries_are_those_of_the_leaderboard(tmp_path, job):
    name = "cifar10/Linf/Carmon2019Unlabeled"
    n = 10_000
    cells = [cell(tmp_path / "a.parquet", "aa", range(5_953), clean=8_969, ids=range(n))]
    found, masks = written(tmp_path, job, *cells, paper=zoo.published()[name])
    assert found.pop("footnote") == "Linf 8/255, standard AutoAttack, 10,000 images"
    assert found == CARMON and list(found) == list(CARMON)
    assert len(masks) == n and masks["correct"].sum() == 5_953 and masks["clean_correct"].sum() == 8_969
    assert job.said == ["goes to model_info/cifar10/Linf/NAME.json of the leaderboard"]


def test_a_model_of_ones_own_says_what_is_to_be_filled_in(tmp_path, job):
    found, _ = written(tmp_path, job, cell(tmp_path / "a.parquet", "aa", range(4)))
    assert (found["name"], found["architecture"], found["clean_acc"]) == ("A paper (ICLR 2030)", "resnet18", "90.00")
    assert found["reported"] == found["autoattack_acc"] == "40.00" and "external" not in found
    assert found["footnote"] == "Linf 8/255, standard AutoAttack, 10 images; the leaderboard has 10,000"
    assert job.said[0].endswith("; to be filled in: link, authors, venue")


def test_several_attacks_give_the_worst_case_of_every_image(tmp_path, job):
    cells = [cell(tmp_path / "a.parquet", "aa", {0, 1, 2, 3}), cell(tmp_path / "b.parquet", "pgd", {2, 3, 4})]
    found, masks = written(tmp_path, job, *cells)
    assert (found["autoattack_acc"], found["external"]) == ("40.00", "20.00")
    right = masks[masks["correct"]].groupby("attack")["id"].agg(list).to_dict()
    assert right == {"aa": [0, 1, 2, 3], "pgd": [2, 3, 4], "all": [2, 3]}
    assert list(masks["attack"].unique()) == ["aa", "pgd", "all"] and len(masks) == 30
    # AutoAttack is the worst of all: no other number beside it.
    same = [cells[0], cell(tmp_path / "c.parquet", "pgd", range(8))]
    assert "external" not in written(tmp_path, job, *same)[0]


def test_doubts_make_it_unreliable_and_imagenet_has_its_own_images(tmp_path, job):
    cells = [cell(tmp_path / "a.parquet", "aa", range(4), dataset="imagenet_rb5000", randomised=True)]
    found, _ = written(tmp_path, job, *cells, dataset="imagenet")
    assert found["unreliable"] and found["dataset"] == "imagenet"
    assert found["footnote"].endswith(
        "10 images; the leaderboard has 5,000; randomised output for 100.0% of the images"
    )


def test_attacks_on_other_images_are_refused(tmp_path, job):
    cells = [cell(tmp_path / "a.parquet", "aa", {0}), cell(tmp_path / "b.parquet", "pgd", {0}, ids=range(5))]
    message = r"^the attacks are not on the same images \(10 of 'aa', 5 of 'pgd'\): give them the same `images`$"
    with pytest.raises(ValueError, match=message):
        written(tmp_path, job, *cells)
