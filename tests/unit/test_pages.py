"""Pages for readers: links lead somewhere, every page is in the index, and tables are those that were recorded."""

import json
import re
import subprocess
import sys

import pytest

from imports import ROOT

sys.path.append(str(ROOT / "docs"))
import blocks
import make_speed

PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    ROOT / "config" / "README.md",
    ROOT / "tests/golden/README.md",
]
RECORDS = sorted(make_speed.RECORDED.glob("*.json"))


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(text):
    """Anchors of the headings of a page, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken(path):
    """Links of a page within the project that lead nowhere."""
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", without_code(text)):
        target, _, anchor = "".join(link).partition("#")
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            yield "".join(link)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    assert list(broken(path)) == []


def test_a_broken_link_would_be_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One two\n[a](#one-two) [b](#three) [c](none.md) [d](page.md#one-two) `[e](none)` <img src='x'>\n"
    )
    assert list(broken(page)) == ["#three", "none.md"]


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150
    assert max(len(line) for line in lines if not line.startswith(("|", "<img"))) <= 130


def test_the_index_has_every_page():
    listed = set(re.findall(r"\]\(([\w/.]+\.md)\)", (ROOT / "docs" / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} == {x for x in listed if "/" not in x}


def test_the_index_has_a_line_for_every_page_and_notebook():
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ") and "](" in line]
    assert all(line.count("?") == 1 for line in lines)
    for path in [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("*.ipynb")]:
        assert path.name == "README.md" or sum(f"]({path.name})" in line for line in lines) == 1, path.name


# Tables that benches recorded


def test_the_pages_show_what_was_recorded():
    answer = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_speed.py", "--check"], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_says_when_and_on_what_it_was_measured(path):
    found = json.loads(path.read_text(encoding="utf-8"))
    assert all(found[key] for key in ("date", "commit", "processor", "threads", "versions", "rows"))
    assert "dirty" not in found["commit"]
    assert {len(row) for row in found["rows"]} == {len(found["columns"])}


def test_a_part_is_replaced_and_nothing_else():
    page = "before\n<!-- made: a -->\nold\n<!-- end -->\nbetween\n<!-- made: b -->\n<!-- end -->\n"
    filled = blocks.fill(page, lambda name: f"new {name}\n")
    expected = "before\n<!-- made: a -->\nnew a\n<!-- end -->\nbetween\n<!-- made: b -->\nnew b\n<!-- end -->\n"
    assert filled == expected and blocks.names(page) == ["a", "b"]


def test_a_table_that_no_page_shows_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(make_speed, "RECORDED", tmp_path)
    (tmp_path / "lonely.json").write_text("{}")
    with pytest.raises(ValueError, match="no page shows lonely: give it a place"):
        make_speed.texts()


def test_a_record_is_written_when_all_rows_are_there(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import record

    monkeypatch.setattr(record, "RECORDED", tmp_path / "recorded")
    monkeypatch.setattr(record, "_commit", lambda: "abc")
    options = record.arguments("").parse_args(["--record"])
    with pytest.raises(KeyError), record.table("one", ["what", "s"], options) as add:
        add("a", "1.0")
        raise KeyError("b")
    assert not (tmp_path / "recorded").exists()
    with record.table("one", ["what", "s"], options, threads=2, packages=["numpy"]) as add:
        add("a", "1.0")
    assert "| a | 1.0 |" in capsys.readouterr().out
    monkeypatch.setattr(make_speed, "RECORDED", tmp_path / "recorded")
    part = make_speed.part("one")
    assert part.startswith("| what | s |\n| --- | --- |\n| a | 1.0 |\n\nMeasured on ")
    assert "commit abc, " in part and ", 2 threads; Python 3." in part and ", numpy " in part
