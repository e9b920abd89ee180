"""The page of a cluster: what jobs at paper scale ask for, as the plan works it out."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "docs")]

import make_asked  # noqa: E402 (the path comes first)


def test_the_page_has_what_jobs_ask_for():
    assert make_asked.PAGE.read_text(encoding="utf-8") == make_asked.text()


def test_a_job_of_no_rule_is_named(monkeypatch):
    monkeypatch.setattr(make_asked, "JOBS", ("represent/imagenet",))
    with pytest.raises(ValueError, match="represent/imagenet is a job of no rule: write it as its benchmark"):
        list(make_asked.rows())
