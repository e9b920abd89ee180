"""What is handed on: the cells of submissions and of folders for Hugging Face, and what is said beside them."""

import pytest

from mettle.plan import zoo
from workplace import Workplace

AUTOATTACK = {"method": "autoattack", "norm": "linf", "eps": "8/255"}
ATTACKS = {
    "few": AUTOATTACK | {"images": 10},
    "part": AUTOATTACK | {"attacks": ["apgd_ce"]},
    "pgd": {"method": "pgd", "norm": "linf", "eps": "8/255", "steps": 2},
    "other": AUTOATTACK | {"eps": "4/255"},
    "seen": {"method": "pgd", "norm": "linf", "eps": "8/255", "steps": 2, "through": "vgg5-plain-s0"},
    "standard": {"method": "autoattack", "norm": "own", "eps": "own"},
}


@pytest.fixture
def place(tmp_path):
    found = Workplace(tmp_path)
    found.robust("robust", "linf", "8/255")
    found.models(
        [
            ("ten", "resnet10t", "robust", 0, "linf", "8/255"),
            ("ten", "vgg5", "plain", 0),
            ("ten", "resnet10t", "plain", 0),
        ]
    )
    return found


def names(cells):
    return [cell.rpartition("/")[2].removesuffix(".parquet") for cell in cells]


def test_a_submission_is_made_of_the_standard_attack_and_others_on_all_images_in_the_same_ball(place):
    plan, cell = place.plan(figures={}, attack={"attacks": ATTACKS}), {"model": "resnet10t-robust-s0"}
    assert names(plan.submitted_cells(cell)) == ["standard", "part", "pgd"]
    facts = plan.submission(cell)
    assert (facts["attack"], facts["threat"], facts["arch"]) == ("standard", "linf", "resnet10t")
    assert facts["paper"] == {} and facts["extra_data"] is False
    # A card of Hugging Face shows other numbers of images, too, and of a model without a ball one attack.
    assert names(plan.shown_cells(cell)) == ["few", "part", "pgd", "standard"]
    assert names(plan.shown_cells({"model": "resnet10t-plain-s0"})) == ["few"]


def test_without_a_standard_attack_the_message_says_what_to_add(place):
    plan = place.plan(figures={}, attack={"attacks": {key: ATTACKS[key] for key in ("few", "part", "pgd", "other")}})
    message = (
        r"^configuration: attack.attacks has no standard AutoAttack in the ball of 'resnet10t-robust-s0', Linf 8/255: "
        r"add \{method: autoattack, norm: linf, eps: 0.0313725\}$"
    )
    with pytest.raises(ValueError, match=message):
        plan.submitted_cells({"model": "resnet10t-robust-s0"})


def test_a_network_of_robustbench_brings_its_paper_and_the_benchmarks_own_images(tmp_path):
    from mettle.plan import Plan

    sheet, name = tmp_path / "models.tsv", "imagenet/Linf/Salman2020Do_R50"
    sheet.write_text(f"model\tdataset\tsource\nsalman\timagenet\trobustbench:{name}\n")
    attacks = {"standard": ATTACKS["standard"]}
    plan = Plan({"models": str(sheet), "sweeps": [], "figures": {}, "attack": {"attacks": attacks}})
    assert plan.submitted_cells({"model": "salman"}) == ["results/attack/imagenet_rb5000/salman/standard.parquet"]
    assert plan.submission({"model": "salman"})["paper"] == zoo.published()[name]
    assert plan.handed_on({"model": "salman"})["expected"][0]["autoattack"] == zoo.published()[name]["autoattack"]
