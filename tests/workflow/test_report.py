"""The report, as a reader meets it: made by the commands of the documentation, opened in a browser without network."""

import csv
import re
import sys
import zipfile

import pytest
import yaml

import chromium
import trees
from imports import ROOT
from mettle.plan import Plan
from trees import succeeded

pytestmark = pytest.mark.workflow

CONFIG = {
    "seed": 0,
    "attack": {"attacks": {"pgd2": {"method": "pgd", "norm": "l2", "eps": 0.5, "steps": 2}}},
    "figures": {
        "accuracy": {"evaluations": [{"datasets": ["digits"], "attacks": ["pgd2"]}]},
        "fig1": {"dataset": "digits", "models": ["resnet8-plain-s0"]},  # never made
        "fig12": {"models": ["resnet8-plain-s0"], "published": False},
    },
}
JOBS = {"prep": 2, "train": 1, "attack": 1, "tabulate_figure": 2, "figure": 1, "all": 7}
SECRET = "hunter2-8f3a"


def snakemake(folder, *arguments):
    return succeeded(trees.snakemake(folder, *arguments, WANDB_API_KEY=SECRET))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = trees.plant(tmp_path_factory.mktemp("report"), CONFIG, models=[("resnet8", "plain", 0)])
    (folder / "config" / "paper.yaml").write_text("represent: {sample: 100}\n")
    snakemake(folder, "--cores", "1", "results/figures/fig12.pdf", "results/tables/accuracy.parquet")
    # The command as the documentation has it: no target, the executor is Slurm, figure 1 has not been made.
    snakemake(folder, "--profile", "slurm", "--report", "results/report.html")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not chromium.PROGRAM:
        pytest.skip("no chromium: apt-get install chromium")
    found = chromium.Chromium(tmp_path_factory.mktemp("profile"), 1400, 400)
    yield found
    found.close()


@pytest.fixture
def page(tree, browser):
    browser.open((tree / "results/report.html").as_uri())
    browser.wait("!!document.querySelector('nav li a')")
    return browser


def click(page, text):
    """Click on an entry of the menu."""
    page.run(f"[...document.querySelectorAll('nav li a')].find(a => a.textContent === {text!r}).click()")


def choose(page, text, button):
    """Click on the eye (0) or the i (1) of a figure or table in the list."""
    row = f"[...document.querySelectorAll('nav tr')].find(row => row.textContent.includes({text!r}))"
    page.wait(row + " !== undefined")
    page.run(f"{row}.querySelectorAll('a')[{button}].click()")


def test_start_page_names_studies_configuration_and_what_is_not_there(page):
    text = page.wait("document.querySelector('.prose').innerText")
    assert "Robustness of vision models" in text and "arXiv:2510.19427" in text and "arXiv:2209.07399" in text
    assert "figures 1, 12" not in text and "arXiv:2510.19427: figure 1\n" in text + "\n"
    assert "In the configuration, but not in this report: fig1." in text
    assert "Not from this configuration" not in text
    page.run("document.querySelector('details').open = true")
    configuration = yaml.safe_load(page.run("document.querySelector('details pre').innerText"))
    assert configuration["seed"] == 0 and configuration["represent"]["sample"] == 100
    # Its head can be reached: it does not stand above the window's upper end.
    assert page.run("document.querySelector('.prose h1').getBoundingClientRect().top") >= 0


def test_run_time_of_every_rule_is_that_of_its_jobs(page, tree):
    cells = "[...document.querySelectorAll('.prose tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"
    rows = {row[0]: row[1:] for row in page.wait(cells)}
    assert {rule: int(row[0]) for rule, row in rows.items()} == JOBS
    seconds = 0.0
    for path in (tree / "benchmarks/results/train").rglob("*.tsv"):
        seconds += float(next(csv.DictReader(path.open(), delimiter="\t"))["s"])
    hours, minutes, rest = map(int, rows["train"][1].split(":"))
    assert hours * 3600 + minutes * 60 + rest == round(seconds) > 0
    click(page, "Statistics")
    page.wait("!!document.querySelector('#runtimes canvas, #runtimes svg')")
    assert set(page.run("runtimes_spec.data.values.map(job => job.rule)")) == set(JOBS) - {"all"}


def test_a_figure_is_drawn_with_its_caption(page):
    click(page, "Figures")
    choose(page, "learning curves", 0)
    width, height, bottom = page.wait(
        "(img => img && img.naturalWidth && [img.naturalWidth, img.naturalHeight, img.getBoundingClientRect().bottom])"
        "(document.querySelector('.p-3 > img'))"
    )
    assert width > 300 and height > 300
    assert bottom <= page.run("innerHeight")  # whole, though the window is low
    choose(page, "learning curves", 1)
    assert "Accuracy by training epoch" in page.wait("document.querySelector('nav .prose').innerText")


def test_a_table_has_its_rows_and_sorts_by_a_column(page):
    click(page, "Tables")
    choose(page, "clean and attacked accuracy", 0)
    frame = page.frame("document.readyState === 'complete' && !!document.querySelector('dl')")
    turned = "[...document.querySelector('table').rows].map(row => [...row.cells].map(cell => cell.innerText))"
    heads, *lines = page.run(turned, **frame)
    assert heads == ["model", "clean", "pgd2\nL2 0.5", "worst_case\nL2 0.5"] and len(lines) == 1
    assert page.run("!document.querySelector('details').open", **frame)
    page.run("document.querySelector('summary').click()", **frame)
    assert page.run("document.querySelectorAll('details tbody tr').length", **frame) == 3  # one for each column
    names = page.run("[...document.querySelectorAll('details th')].map(head => head.innerText)", **frame)
    rows = "[...document.querySelectorAll('details tbody tr')]"
    column = f"{rows}.map(row => row.cells[{names.index('value')}].innerText)"
    before = [float(value) for value in page.run(column, **frame)]
    assert sorted(before) == sorted(float(value) for value in lines[0][1:])
    head = f"document.querySelectorAll('details th')[{names.index('value')}]"
    page.run(f"{head}.click()", **frame)
    assert [float(value) for value in page.run(column, **frame)] == sorted(before)
    page.run(f"{head}.click()", **frame)
    assert [float(value) for value in page.run(column, **frame)] == sorted(before, reverse=True)
    assert page.run(f"{head}.title", **frame) == "the measurement"
    made = page.run("document.querySelector('dl').innerText", **frame)
    assert "tabulate_figure" in made and "torch" in made
    choose(page, "clean and attacked accuracy", 1)
    assert "95 % Wilson intervals" in page.wait("document.querySelector('nav .prose').innerText")


def test_on_a_telephone_nothing_is_cut_off(page):
    page.call("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=True)
    try:
        page.wait("innerWidth === 400")
        menu = page.run(
            "(box => [box.left, box.right, box.bottom])(document.querySelector('nav').getBoundingClientRect())"
        )
        text = page.run(
            "(box => [box.left, box.right, box.top])(document.querySelector('.prose').getBoundingClientRect())"
        )
        assert menu[0] >= 0 and text[0] >= 0 and max(menu[1], text[1]) <= 400
        assert text[2] >= menu[2], "the menu is above the page"
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")


def test_figures_come_in_the_order_of_their_numbers(page):
    two, ten, table = (Plan.labels({"figure": figure})["shows"] for figure in ("fig2", "fig10", "accuracy"))
    assert page.run(f"{two!r}.localeCompare({ten!r})") < 0 and page.run(f"{ten!r}.localeCompare({table!r})") < 0


def test_no_error_and_no_request_to_a_network(page):
    for entry in ("Statistics", "Workflow", "About"):
        click(page, entry)
    assert not page.told("Runtime.exceptionThrown")
    assert not [said for said in page.told("Runtime.consoleAPICalled") if said["type"] in ("error", "assert")]
    assert not [said for said in page.told("Log.entryAdded") if said["entry"]["level"] == "error"]
    asked = {said["request"]["url"].partition(":")[0] for said in page.told("Network.requestWillBeSent")}
    assert "file" in asked and asked <= {"file", "data", "blob"}


def test_report_holds_neither_paths_of_the_machine_nor_secrets(tree):
    text = (tree / "results/report.html").read_text()
    for private in (str(tree), str(ROOT), sys.prefix, SECRET):
        assert private not in text
    assert len(text) < 6e6


def test_report_of_one_figure_holds_its_table_and_no_other(tree):
    said = snakemake(tree, "--report", "one.html", "results/figures/fig12.pdf")
    assert re.findall(r"^Adding (\S+)", said, re.MULTILINE) == ["fig12.png", "fig12.html"]


def test_zipped_report_opens_where_it_is_unpacked(tree, browser, tmp_path):
    snakemake(tree, "--profile", "slurm", "--report", "results/report.zip")
    with zipfile.ZipFile(tree / "results/report.zip") as file:
        file.extractall(tmp_path)
    browser.open((tmp_path / "report/report.html").as_uri())
    browser.wait("!!document.querySelector('nav li a')")
    click(browser, "Figures")
    choose(browser, "learning curves", 0)
    assert browser.wait("document.querySelector('.p-3 > img')?.naturalWidth") > 300


def test_a_report_of_ones_own_has_its_title_its_studies_and_nothing_else(tree, browser):
    own = tree / "config" / "own.yaml"
    own.write_text("title: Mine & *yours* `x`_\nshow: [fig12]\n")
    snakemake(tree, "--report", "own.html", "--configfile", str(own))
    browser.open((tree / "own.html").as_uri())
    text = browser.wait("document.querySelector('.prose')?.innerText")
    assert text.startswith("Mine & *yours* `x`_")
    assert "arXiv:2209.07399: figure 12" in " ".join(text.split()) and "arXiv:2510.19427" not in text
    assert "not in this report" not in text and "Not from this configuration" not in text
    assert browser.run("[...document.querySelectorAll('nav li a')].map(a => a.textContent)").count("Figures") == 1
    assert "accuracy.html" not in (tree / "own.html").read_text()


def test_results_of_another_configuration_are_named(tree, browser):
    other = tree / "config" / "other.yaml"
    other.write_text("attack: {attacks: {pgd2: {steps: 3}}}\n")
    snakemake(tree, "--report", "other.html", "--configfile", str(other))
    browser.open((tree / "other.html").as_uri())
    text = browser.wait("document.querySelector('.prose')?.innerText")
    assert "Not from this configuration, or older than its inputs: accuracy." in text
