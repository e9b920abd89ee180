"""Start page of the report: what `all` asks for, run times from benchmark files, what is absent or out of date."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from mettle.controller import overview

HEAD = "s\th:m:s\tmax_rss\tmax_vms"


def job(rule, path=None, *lines):
    if path:
        path.write_text("\n".join([HEAD, *lines]) + "\n")
    return SimpleNamespace(rule=SimpleNamespace(name=rule), benchmark=path and str(path))


def file(path, outdated=False):
    dag = SimpleNamespace(needrun=lambda job: outdated)
    return SimpleNamespace(path=Path(path), job=SimpleNamespace(dag=dag))


@pytest.mark.parametrize("arguments", [[], ["-n"], ["--report", "r.html", "--report-after-run"], ["--reporter", "x"]])
def test_all_asks_for_everything_but_in_a_report(arguments, tmp_path):
    wanted = [str(tmp_path / "made"), str(tmp_path / "not")]
    (tmp_path / "made").touch()
    assert overview.targets(wanted, ["snakemake", *arguments]) == wanted


@pytest.mark.parametrize("arguments", [["--report"], ["--report", "r.html"], ["--report=r.html"]])
def test_a_report_is_about_what_has_been_made(arguments, tmp_path):
    wanted = [str(tmp_path / "made"), str(tmp_path / "not")]
    (tmp_path / "made").touch()
    assert overview.targets(wanted, ["snakemake", *arguments]) == wanted[:1]
    assert overview.targets(wanted, ["snakemake", *arguments], wanted[1:].__contains__) == wanted[1:]


def test_run_times_by_rule_with_the_longest_first_and_all_last(tmp_path):
    jobs = [
        job("prep", tmp_path / "prep.tsv", "2.40\t0:00:02\t100.2\t1"),
        job("train", tmp_path / "one.tsv", "10.00\t0:00:10\t900.6\t1"),
        job("train", tmp_path / "two.tsv", "4000.00\t1:06:40\t-\t-"),
        job("train", tmp_path / "three.tsv", "20.00\t0:00:20\t20.0\t1"),
    ]
    train, prep, every = overview.runtimes(jobs)
    seconds = timedelta(seconds=1)
    assert train == overview.Runtime("train", 3, 4030 * seconds, 20 * seconds, 4000 * seconds, 901)
    assert str(train.longest) == "1:06:40"
    assert prep == overview.Runtime("prep", 1, 2 * seconds, 2 * seconds, 2 * seconds, 100)
    # Of 2.4, 10, 20 and 4000 s: totals are summed before they are rounded.
    assert every == overview.Runtime("all", 4, 4032 * seconds, 15 * seconds, 4000 * seconds, 901)


def test_jobs_without_a_benchmark_file_are_left_out(tmp_path):
    gone = job("train", tmp_path / "gone.tsv", "1.00\t0:00:01\t1.0\t1")
    (tmp_path / "gone.tsv").unlink()
    short = job("attack", tmp_path / "short.tsv", "0.10\t0:00:00\t-\t-")
    assert overview.runtimes([gone, job("all")]) == []
    assert [(row.rule, row.jobs, row.memory) for row in overview.runtimes([gone, short])] == [
        ("attack", 1, 0),
        ("all", 1, 0),
    ]


def test_absent_and_outdated_are_named_in_the_order_of_the_configuration():
    shown = [file("results/figures/fig12.png", True), file("results/tables/fig12.html", True)]
    shown += [file("results/tables/fig5.html", True), file("results/tables/accuracy.html")]
    figures = ["accuracy", "fig5", "fig7", "fig12"]
    assert overview.absent(figures, shown) == ["fig7"]
    assert overview.outdated(figures, shown) == ["fig5", "fig12"]


def test_configuration_is_shown_in_its_order():
    assert overview.as_yaml({"seed": 0, "attack": {"eps": [0.5]}}) == "seed: 0\nattack:\n  eps:\n  - 0.5\n"
