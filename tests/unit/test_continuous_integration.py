"""Continuous integration runs what people run: its commands are targets of make, or in the documentation."""

import re
import subprocess

import pytest
import yaml

from imports import ROOT

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
FORMS = [path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]
STEPS = [(job, step) for job in WORKFLOW["jobs"].values() for step in job["steps"]]
# Neither of make nor of the documentation: a container's user does not own the clone.
OWN = {'git config --global --add safe.directory "$PWD"', "bash .ci/packages"}


def targets():
    """Targets of make, with what they are for."""
    return re.findall(r"^(\w+):.* ## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def commands():
    """Commands of all jobs, one for each value of the matrix in it."""
    for job, step in STEPS:
        found = re.fullmatch(r"(.*)\$\{\{ matrix\.(\w+) \}\}(.*)", step.get("run", ""))
        values = job["strategy"]["matrix"][found[2]] if found else []
        yield from [f"{found[1]}{value}{found[3]}" for value in values] if found else [step.get("run")]


def documented():
    """Lines of the blocks of code of the page about environments."""
    text = (ROOT / "docs/environments.md").read_text(encoding="utf-8")
    return {
        line
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    }


def test_every_command_is_one_that_people_run():
    ours = {f"make {target}" for target in targets()} | documented() | OWN
    assert {command for command in commands() if command} - ours == set()


def test_it_runs_all_that_ci_run_does():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    runs = set(re.findall(r"^(make \w+|bash \S+)$", script, re.MULTILINE))
    assert {"make check", "make test", "make envs", "make reference", "bash .ci/packages"} <= runs <= set(commands())


def test_both_versions_of_python_are_run():
    matrix = WORKFLOW["jobs"]["make"]["strategy"]["matrix"]
    assert [version.rpartition(".")[0] for version in matrix["python"]] == ["3.11", "3.12"]
    assert matrix["exclude"] == [{"target": "envs", "python": matrix["python"][1]}]


def test_actions_and_images_have_exact_versions():
    uses = [step["uses"] for _, step in STEPS if "uses" in step]
    assert uses and all(re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", name) for name in uses)
    assert {job["runs-on"] for job in WORKFLOW["jobs"].values()} == {"ubuntu-24.04"}
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_the_cache_of_pip_follows_the_hashes():
    (cache,) = (step["with"] for _, step in STEPS if step.get("uses", "").startswith("actions/cache@"))
    assert cache["path"] == WORKFLOW["env"]["PIP_CACHE_DIR"] and "hashFiles('requirements.hashes')" in cache["key"]


def test_the_packages_of_debian_can_be_read_by_bash():
    subprocess.run(["bash", "-n", ROOT / ".ci/packages"], check=True)
    assert "munge slurmctld slurmd slurm-client" in (ROOT / ".ci/packages").read_text()


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_for_issues_asks_for_what_make_about_says(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    assert "make about" in path.read_text(encoding="utf-8") and "about" in targets()
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(set(ids)) == len(ids) and all(part["attributes"] for part in form["body"])


def test_forms_name_files_that_there_are():
    texts = "".join(path.read_text() for path in (ROOT / ".github").rglob("*.*"))
    named = set(re.findall(r"\bdocs/\w+\.md|\b[A-Z]{5,}\.md|\brequirements\.\w+", texts))
    assert named and all((ROOT / name).exists() for name in named)
    assert set(re.findall(r"`make (\w+)", texts)) <= set(targets())
