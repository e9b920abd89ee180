"""One's own configuration over the paper's: the remedy is named where it helps, and nowhere else."""

from pathlib import Path

import pytest
import yaml

from imports import ROOT
from mettle import schema
from mettle.plan import Plan, check_targets, overlay
from mettle.plan.overlay import remedy, sentence

PAPER = Path("config/paper.yaml")
ATTACKED = {"figures": {"accuracy": {"evaluations": [{"datasets": ["imagenet"], "attacks": ["pgd20_l2_eps3"]}]}}}


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Writes a configuration, and gives its path; the working directory is mettle's."""
    monkeypatch.chdir(ROOT)

    def write(config):
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
        return tmp_path / "mine.yaml"

    return write


def test_files_are_laid_over_each_other_as_snakemake_does(mine):
    from snakemake.utils import update_config

    own = mine(ATTACKED | {"represent": {"sample": None}, "compare": {"measures": {"cka": {"batch_size": 64}}}})
    expected = {}
    for path in ("config/config.yaml", PAPER, own):
        update_config(expected, schema.read_yaml(path))
    assert overlay.laid(["config/config.yaml", PAPER, own]) == expected


def test_a_name_that_only_the_papers_configuration_knows(mine):
    own = mine(ATTACKED)
    with pytest.raises(ValueError, match="unknown attack 'pgd20_l2_eps3'"):
        check_targets(Plan(overlay.laid(["config/config.yaml", own])), ["-n"])
    said = remedy([own], ["-n"])
    assert said.startswith("; with config/paper.yaml it would be right: --configfile config/paper.yaml ")
    assert said.endswith("mine.yaml")


def test_a_target_that_only_the_papers_configuration_knows(mine, monkeypatch):
    target = "results/tables/published.parquet"
    with pytest.raises(ValueError, match="figure 'published' is not configured"):
        check_targets(Plan(overlay.laid(["config/config.yaml"])), [target])
    assert remedy([], [target]) == "; with config/paper.yaml it would be right: --configfile config/paper.yaml"
    monkeypatch.setattr("sys.argv", ["snakemake", "-n", target])
    assert sentence(ValueError("no"), []) == f"no{remedy([], [target])}"


@pytest.mark.parametrize("below", [[], [PAPER]])
def test_what_the_papers_configuration_does_not_mend_is_left_alone(mine, below):
    assert not remedy([*below, mine({"figurs": {}})], [])
    assert not remedy([*below, mine({})], ["results/tables/fig99.parquet"])


def test_where_the_papers_configuration_is_already_below_nothing_is_said(mine):
    assert not remedy([PAPER.resolve(), mine(ATTACKED)], ["results/tables/fig99.parquet"])


def test_a_fault_of_the_demos_configuration_is_not_hidden(tmp_path, monkeypatch):
    """One that the paper's would replace is no reason to lay it below."""
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    wrong = {"figures": {"fig5": {"dataset": "digit", "eps": [0], "measures": ["cka"]}}}
    Path("config/config.yaml").write_text(yaml.safe_dump(schema.read_yaml(ROOT / "config/config.yaml") | wrong))
    with pytest.raises(ValueError, match="digit"):
        check_targets(Plan(overlay.laid(["config/config.yaml"])), ["-n"])
    assert not remedy([], ["-n"])
