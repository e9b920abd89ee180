"""A release says its version and date in one way in every place."""

import re
import tomllib
from datetime import date

import yaml

import mettle
from imports import ROOT


def newest():
    """Version and date of the topmost released section of the changelog."""
    heads = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    return next(
        re.fullmatch(r"(\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)", head).groups() for head in heads if head != "Unreleased"
    )


def test_the_version_is_the_same_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert newest() == (mettle.__version__, cited["date-released"])
    assert cited["version"] == mettle.__version__
    assert project["project"]["dynamic"] == ["version", "dependencies"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "mettle.__version__"}


def test_the_date_is_one_and_contributing_names_the_tag():
    version, day = newest()
    date.fromisoformat(day)
    assert f"`v{version}`" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
