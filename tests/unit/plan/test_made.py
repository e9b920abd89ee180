"""What exists of a model, which a page shows and does not force."""

import os

import pytest

from workplace import Workplace

FIGURES = {"accuracy": {"evaluations": [{"datasets": ["ten"], "attacks": ["weak"]}]}}
FIGURES["fig2"] = {"datasets": ["ten"], "eps": [0], "measures": ["cka"]}
ATTACK = {"attacks": {"weak": {"method": "pgd", "norm": "l2", "eps": 0.5, "steps": 1}}}
CELL = "results/attack/ten/vgg5-plain-s0/weak.parquet"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Workplace(tmp_path)


def plan(place, **more):
    return place.plan(**{"attack": ATTACK, "figures": FIGURES, "compare": {"measures": {"cka": {}}}} | more)


def touch(place, path):
    place.folder.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
    place.folder.joinpath(path).touch()


def model(name="vgg5-plain-s0"):
    return {"model": name}


def test_only_what_exists_is_shown_and_nothing_is_an_input(place):
    assert not any(plan(place).card_files(model()).values()) and plan(place).completing(model()) == []
    touch(place, CELL)
    touch(place, "results/attack/ten/vgg5-plain-s1/weak.parquet")
    touch(place, "results/attack/ten/vgg5-plain-s0/by_hand.parquet")
    found = plan(place).card_files(model())
    assert found["attack"] == ["results/attack/ten/vgg5-plain-s0/by_hand.parquet", CELL]
    assert list(plan(place).ranked_files({})) == ["vgg5-plain-s0", "vgg5-plain-s1"]


def test_pairs_are_in_the_files_of_the_models_after_it(place):
    first, second = (f"results/compare/ten/group/natural/cka/vgg5-plain-s{k}.parquet" for k in (0, 1))
    touch(place, second)
    touch(place, first)
    assert plan(place).card_files(model())["compare"] == [first, second]
    assert plan(place).card_files(model("vgg5-plain-s1"))["compare"] == [second]


def test_what_figures_ask_for_is_missing_until_it_is_there(place):
    assert CELL in plan(place).not_made(model())
    touch(place, CELL)
    assert CELL not in plan(place).not_made(model())


def test_complete_asks_for_all_of_it(place):
    found = plan(place, cards={"complete": True})
    assert CELL in found.completing(model()) and CELL in found.card_files(model())["attack"]
    assert not [path for path in found.completing(model()) if "/attack/" in path and "plain-s0" not in path]
    assert set(found.completing(model())) <= set(found.completing_all({}))


def test_the_page_is_made_again_when_a_file_changes_comes_or_goes(place):
    states = [plan(place).card_state(model())]
    touch(place, CELL)
    states.append(plan(place).card_state(model()))
    os.utime(CELL, ns=(1, 1))
    states.append(plan(place).card_state(model()))
    assert len(set(states)) == 3 and plan(place).card_state(model()) == states[-1]
    assert plan(place).card_state(model("vgg5-plain-s1")) == states[0]


def test_a_figure_that_does_not_fit_the_sheets_is_passed_over(place):
    found = plan(place)
    found.config["figures"]["fig1"] = {"dataset": "ten", "models": ["of-another-sheet"]}
    assert CELL in found.not_made(model())


def test_published_values_and_the_names_of_autoattack(place):
    attacks = {"aa": {"method": "autoattack", "norm": "linf", "eps": "8/255"}} | ATTACK["attacks"]
    found = plan(place, attack={"attacks": attacks}).scored("vgg5-plain-s0")
    assert found["autoattack"] == ["aa"] and found["published"] == [] and found["task"] == "classification"
