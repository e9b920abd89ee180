"""What jobs ask for, as Snakemake says it: what was worked out, within limits; what a profile sets for a rule wins."""

import re

import pytest

import trees

MODEL = "results/represent/digits/natural/resnet8-plain-s0.parquet"
pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    config = {"represent": {"sample": 100}, "figures": {}}
    return trees.plant(tmp_path_factory.mktemp("asked"), config, models=[("resnet8", "plain", 0)])


def asked(tree, *options):
    """Resources by rule of a dry run with the cluster's profile."""
    said = trees.succeeded(
        trees.snakemake(tree, "--profile", "slurm", "--configfile", "config/config.yaml", *options, "-n", "--", MODEL)
    )
    jobs = re.findall(r"^rule (\w+):$.*?^    resources: (.*?)$", said, re.MULTILINE | re.DOTALL)
    return {rule: dict(re.findall(r"(\w+)=(\w+)", given)) for rule, given in jobs}


def test_jobs_ask_for_what_they_have_to_do(tree):
    found = asked(tree)
    assert set(found) == {"prep", "train", "represent"}
    for given in found.values():
        assert int(given["mem_mb"]) % 500 == 0 and 10 <= int(given["runtime"]) < 120
    assert found["represent"]["gpu"] == "1" and int(found["represent"]["mem_mb"]) < 16_000


def test_limits_hold_and_what_is_set_for_a_rule_wins(tree):
    limits = ["--resources", "mem_mb=2000", "longest=12"]
    found = asked(tree, *limits, "--set-resources", "represent:mem_mb=attempt * 1234", "represent:runtime=99")
    assert (found["train"]["mem_mb"], found["train"]["runtime"]) == ("2000", "12")
    assert (found["represent"]["mem_mb"], found["represent"]["runtime"]) == ("1234", "99")
