"""The card of a model as HTML: every number with its file, what is missing with its command, text as text."""

import re

import numpy as np
import pandas as pd
import pytest

from mettle import tables
from mettle.stages.cards import card
from mettle.stages.cards.scores import scores_of

CLEAN, ATTACKED = np.array([1, 1, 1, 0], bool), np.array([1, 0, 0, 0], bool)
ROW = {"model": "net", "dataset": "ten", "arch": "resnet8", "threat": "linf", "eps": 8 / 255, "seed": 0}


@pytest.fixture
def page(results, told, tmp_path):
    """Text of the card of a model with given files, and facts in place of the usual ones."""

    def write(files, **more):
        about = {"row": ROW, "label": "Net <b>1</b>", "sheet": "sheet.tsv, row 'net'", "built": [], "missing": []}
        about |= told | {"labels": {"net": "Net", "other": "Other & more"}} | more
        tables.write(tmp_path / "s.parquet", tables.SCORES, scores_of(files, about), {})
        rows = tables.read(tmp_path / "s.parquet", tables.SCORES)
        card.write(tmp_path / "net.html", rows, files, about, {"rule": "model_card", "params": {"a": 1}})
        return (tmp_path / "net.html").read_text(encoding="utf-8")

    return write


def test_every_number_links_to_its_file(page, results):
    text = page({"attack": [results("net", "pgd", CLEAN, ATTACKED), results("net", "aa", CLEAN, ATTACKED)]})
    links = re.findall(r'href="\.\./(attack/[^"]+)">([\d.]+)<', text)
    assert links[0] == ("attack/ten/net/pgd.parquet", "0.75") and ("attack/ten/net/aa.parquet", "0.25") in links
    assert "worst case, Linf 8/255" in text and "of 2 attacks" in text and "right under all of: pgd, aa" in text


def test_labels_are_text(page):
    text = page({})
    assert "<h1>Net &lt;b&gt;1&lt;/b&gt;</h1>" in text and "Nothing has been made yet." in text
    assert "trained against attacks of Linf 8/255" in text


def test_published_values_and_their_source(page, results, told):
    told["published"] = [{"images": "ten", "clean": 0.8125, "source": "paper, table 1"}]
    text = page({"attack": [results("net", "pgd", CLEAN, ATTACKED)]})
    assert '<span title="paper, table 1">0.8125</span>' in text and "published: 0.8125" in text
    told["published"] = []
    assert "published" not in page({"attack": [results("net", "pgd", CLEAN, ATTACKED)]})


def test_what_is_missing_has_its_command(page):
    text = page({}, missing=[f"results/attack/ten/net/a{k}.parquet" for k in range(15)])
    assert "snakemake --cores 2 results/attack/ten/net/a0.parquet" in text and "And 3 more files." in text
    assert "Not made yet" not in page({})


def test_params_are_not_repeated(page):
    text = page({})
    assert "<dt>rule</dt><dd>model_card</dd>" in text and "<dt>params</dt>" not in text


def test_accuracy_by_eps_has_a_curve(page, results):
    one = results("net", "weak", CLEAN, CLEAN, eps=4 / 255)
    text = page({"attack": [one, results("net", "strong", CLEAN, ATTACKED)]})
    assert 'aria-label="accuracy by eps: Linf"' in text and "<polyline" in text
    assert "<polyline" not in page({"attack": [one]})


def test_other_models_have_their_labels_and_order(page, told, tmp_path):
    keys = {"dataset": "ten", "images": "natural", "model": "net", "norm": None, "eps": 0.0, "measure": "cka"}
    row = keys | {
        "n": 5,
        "lo": None,
        "hi": None,
        "note": None,
        "method": "cka",
        "baseline": None,
        "floor": None,
        "p": None,
        "calibrated": None,
    }
    path = tmp_path / "compare" / "net.parquet"
    path.parent.mkdir()
    rows = [row | {"model_b": "third", "value": 0.25}, row | {"model_b": "other", "value": 0.75}]
    tables.write(path, tables.COMPARE, rows, {})
    text = page({"compare": [str(path)]})
    assert text.index("Other &amp; more") < text.index("third") and "0.750" in text and "0.250" in text


def test_corruptions_have_their_means_and_a_bar_each(page, tmp_path):
    keys = {"dataset": "ten", "split": "test", "model": "net", "task": "classification", "measure": "accuracy"}
    rest = {"n": 4, "lo": 0.2, "hi": 0.9, "note": None}
    rows = [
        keys | {"corruption": "clean", "severity": 0, "statistic": "score", "value": 0.75} | rest,
        keys | {"corruption": "fog", "severity": None, "statistic": "mpc", "value": 0.5} | rest,
        keys | {"corruption": "fog", "severity": 3, "statistic": "score", "value": 0.123} | rest,
        keys | {"corruption": "mean", "severity": None, "statistic": "mpc", "value": 0.625} | rest,
    ]
    path = tmp_path / "few.parquet"
    tables.write(path, tables.ROBUSTNESS, rows, {})
    text = page({"robustness": [str(path)]})
    assert "mean performance under corruption (mPC)" in text and "0.625" in text and "0.123" not in text
    assert text.count('class="bar"') == 2


def test_a_frame_without_rows_makes_a_page(page):
    assert pd.DataFrame(page({}).splitlines()).shape[0] > 1
