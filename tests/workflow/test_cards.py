"""Pages about models in a browser: made by the workflow from what exists, clicked as a reader does."""

import json

import numpy as np
import pandas as pd
import pytest

import chromium
import trees
from mettle import tables
from mettle.stages.cards import leaderboard

pytestmark = pytest.mark.workflow

CONFIG = {
    "attack": {
        "attacks": {
            "pgd2": {"method": "pgd", "norm": "l2", "eps": 0.5, "steps": 2},
            "pgd4": {"method": "pgd", "norm": "l2", "eps": 1.0, "steps": 4},
        }
    },
    "figures": {"accuracy": {"evaluations": [{"datasets": ["digits"], "attacks": ["pgd2", "pgd4"]}]}},
}
MODELS = [("resnet8", "plain", 0), ("vgg5", "plain", 0)]
CARD, BOARD = "results/cards/resnet8-plain-s0.html", "results/leaderboard.html"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = trees.plant(tmp_path_factory.mktemp("cards"), CONFIG, models=MODELS)
    made = [f"results/attack/digits/{model}-plain-s0/pgd2.parquet" for model in ("resnet8", "vgg5")]
    snakemake(folder, *made)
    return folder


def snakemake(folder, *arguments):
    return trees.succeeded(trees.snakemake(folder, "--cores", "1", *arguments))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not chromium.PROGRAM:
        pytest.skip("no chromium: apt-get install chromium")
    found = chromium.Chromium(tmp_path_factory.mktemp("profile"), 1400, 900)
    yield found
    found.close()


def test_a_card_forces_nothing_and_says_what_is_missing(tree, browser):
    said = snakemake(tree, CARD)
    assert "rule model_card" in said and "rule attack" not in said and "rule train" not in said
    missing = "results/attack/digits/resnet8-plain-s0/pgd4.parquet"
    assert not (tree / missing).exists()
    browser.open((tree / CARD).as_uri())
    text = browser.run("document.body.innerText")
    assert "pgd2, L2 0.5" in text and "Not made yet" in text and f"snakemake --cores 2 {missing}" in text
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    answers = tables.read(tree / "results/attack/digits/resnet8-plain-s0/pgd2.parquet", tables.ATTACK)
    shown = browser.run("[...document.querySelectorAll('a.number')].map(a => [a.getAttribute('href'), a.textContent])")
    clean = (answers["clean_prediction"] == answers["label"]).mean()
    assert shown[0] == ["../attack/digits/resnet8-plain-s0/pgd2.parquet", f"{clean:.4g}"]
    assert not browser.told("Log.entryAdded") and not browser.told("Runtime.exceptionThrown")


def test_a_card_is_made_again_for_a_new_file_and_not_without_one(tree):
    snakemake(tree, CARD)
    assert "Nothing to be done" in snakemake(tree, CARD)
    snakemake(tree, "results/attack/digits/resnet8-plain-s0/pgd4.parquet")
    assert "rule model_card" in snakemake(tree, CARD)
    assert "worst case, L2 1" in (tree / CARD).read_text()
    (tree / "results/attack/digits/resnet8-plain-s0/pgd4.parquet").unlink()


def test_complete_makes_what_figures_ask_for(tree):
    said = snakemake(tree, "-n", "--config", "cards={complete: true}", "--", CARD)
    assert "rule attack" in said and "resnet8-plain-s0/pgd4.parquet" in said and "vgg5-plain-s0/pgd4" not in said


def test_the_leaderboard_of_the_workflow_sorts_and_links(tree, browser):
    snakemake(tree, BOARD)
    browser.open((tree / BOARD).as_uri())
    assert "2 of 2 models" in browser.run("document.getElementById('count').textContent")
    links = browser.run("[...document.querySelectorAll('tbody th a')].map(a => a.getAttribute('href'))")
    assert sorted(links) == ["cards/resnet8-plain-s0.html", "cards/vgg5-plain-s0.html"]
    assert len(tables.read(tree / "results/leaderboard.parquet", tables.SCORES)) == 4


# The page itself, with as many models as people rank


@pytest.fixture(scope="module")
def board(tmp_path_factory, browser):
    """A leaderboard of 1,000 made models, under two data sets, open in the browser."""
    rng, rows, models = np.random.default_rng(0), [], {}
    empty = dict.fromkeys(tables.SCORES.columns)
    for k in range(1000):
        name, threat = f"m{k}", ("none", "linf")[k % 2]
        about = {"label": f"Model {k}", "dataset": "ten", "arch": f"net{k % 7}", "task": "classification"}
        models[name] = {"row": about | {"threat": threat, "eps": 8 / 255 * (k % 2), "study": f"study{k % 3}"}}
        for dataset in ("ten", "two") if k < 500 else ("ten",):
            right = rng.random((2, 100)) < [[0.9], [0.1 + 0.0008 * k]]
            for kind, answers in zip(("clean", "attack"), right, strict=True):
                attack = {"attack": "pgd", "norm": "linf", "eps": 8 / 255} if kind == "attack" else {}
                value = {
                    "n": 100,
                    "value": float(answers.mean()),
                    "lo": answers.mean() - 0.05,
                    "hi": answers.mean() + 0.05,
                }
                told = {
                    "about": kind,
                    "dataset": dataset,
                    "model": name,
                    "measure": "accuracy",
                    "task": "classification",
                }
                bits = {"right": np.packbits(answers).tobytes(), "ids": "same", "file": "x"}
                rows.append(empty | told | attack | value | bits)
    rows[-1] |= {"published": 0.5, "source": "paper"}
    path = tmp_path_factory.mktemp("board") / "leaderboard.html"
    leaderboard.write(path, pd.DataFrame(rows), models, 0, {"rule": "leaderboard"})
    browser.open(path.as_uri())
    return browser


def click(board, selector):
    board.run(f"document.querySelector({json.dumps(selector)}).click()")


def column(board, number):
    """Numbers of a column in the order of the rows, and its state."""
    cells = f"[...document.querySelectorAll('tbody td:nth-child({number})')].map(td => parseFloat(td.textContent))"
    state = f"document.querySelector('thead th:nth-child({number})').getAttribute('aria-sort')"
    return board.run(cells), board.run(state)


def choose(board, name, value):
    board.run(
        f"(e => {{ e.value = {json.dumps(value)}; e.dispatchEvent(new Event('change')); "
        f"e.dispatchEvent(new Event('input')); }})(document.getElementById({json.dumps(name)}))"
    )


def count(board):
    return board.run("document.getElementById('count').textContent")


def test_a_click_on_a_head_sorts_and_a_second_turns_the_order(board):
    values, state = column(board, 4)
    assert values == sorted(values, reverse=True) and state == "descending"
    click(board, "thead th:nth-child(5) button")
    values, state = column(board, 5)
    assert len(values) == 1000 and values == sorted(values, reverse=True) and state == "descending"
    click(board, "thead th:nth-child(5) button")
    values, state = column(board, 5)
    assert values == sorted(values) and state == "ascending" and column(board, 4)[1] is None
    assert board.run("document.activeElement.dataset.by") == board.run(
        "document.querySelector('thead th:nth-child(5) button').dataset.by"
    ), "the keyboard stays where it was"


def test_filters_leave_the_models_that_fit(board):
    choose(board, "against", "Linf 8/255")
    assert count(board) == "500 of 1000 models"
    choose(board, "study", "study0")
    assert count(board) == f"{len([k for k in range(1000) if k % 2 and k % 3 == 0])} of 1000 models"
    choose(board, "search", "net3")
    shown = len([k for k in range(1000) if k % 2 and k % 3 == 0 and k % 7 == 3])
    assert count(board) == f"{shown} of 1000 models"
    assert board.run("document.querySelectorAll('tbody tr').length") == shown
    for name in ("against", "study", "search"):
        choose(board, name, "")
    choose(board, "dataset", "two")
    assert count(board) == "500 of 1000 models"
    assert "ten" not in board.run("document.querySelector('thead').innerText")
    choose(board, "dataset", "")


def test_columns_are_the_readers_choice(board):
    before = board.run("document.querySelectorAll('thead th').length")
    click(board, "#columns input")
    assert board.run("document.querySelectorAll('thead th').length") == before - 1
    click(board, "#columns input")
    assert board.run("document.querySelectorAll('thead th').length") == before


def test_ranks_and_published_values_are_shown(board):
    text = board.run("document.querySelector('tbody').innerText")
    assert "#1" in text and "–" in text
    chooser = board.run("document.getElementById('columns').textContent")
    assert "ten: pgd, Linf 8/255, published (1 models)" in chooser


def test_two_columns_are_drawn_with_intervals_and_links(board):
    choose(board, "search", "Model 99")
    assert board.run("document.querySelectorAll('#scatter circle').length") == 11
    assert board.run("document.querySelectorAll('#scatter .spread').length") == 22
    names = board.run("[...document.querySelectorAll('#scatter a text')].map(t => t.textContent)")
    assert "Model 99" in names and len(names) == 11
    click(board, "#named")
    assert board.run("document.querySelectorAll('#scatter a text').length") == 0
    click(board, "#named")
    assert "2 models" not in board.run("document.querySelector('#scatter svg').getAttribute('aria-label')")
    choose(board, "search", "nothing of that name")
    assert "No model that is shown has both." in board.run("document.getElementById('scatter').innerText")
    choose(board, "search", "")


def test_every_control_has_a_name_and_nothing_goes_wrong(board):
    unnamed = "[...document.querySelectorAll('input, select')].filter(e => !e.labels.length).length"
    assert board.run(unnamed) == 0 and board.run("document.documentElement.lang") == "en"
    assert board.run("document.querySelectorAll('h1').length") == 1
    assert not board.told("Runtime.exceptionThrown")
    assert not [one for one in board.told("Network.requestWillBeSent") if not one["request"]["url"].startswith("file:")]
