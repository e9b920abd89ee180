"""The code behind a rule and its revision: workflow/revisions.lock is up to date, and says when it is not."""

import copy

import pytest

import revisions
from imports import SCRIPTS

LIBRARY = SCRIPTS / "mettle"


def test_no_code_behind_a_rule_has_changed_unsaid():
    assert revisions.parted(revisions.read(), revisions.now()) == []


def test_the_lock_has_every_rule_with_its_revision():
    lock = {rule: about["revision"] for rule, about in revisions.read()["rules"].items()}
    assert lock == {rule: revision for rule, (_, revision) in revisions.scripts().items()}


def changed(rules, module):
    """The lock as it was before a module changed that these rules run."""
    code = revisions.now()
    lock = copy.deepcopy(code)
    lock["modules"][module] = "before"
    for rule in rules:
        lock["rules"][rule]["code"] = "before"
    return lock, code


def test_a_changed_module_is_named_with_both_commands():
    (sentence,) = revisions.parted(*changed(["agree"], "mettle/stages/compare/agreement.py"))
    revision = revisions.scripts()["agree"][1]
    assert sentence == (
        f"rule agree: mettle/stages/compare/agreement.py changed since revision {revision}: if its numbers change, "
        "`make raise RULES=agree`; if they stay, `make stays`"
    )


def test_a_raised_revision_is_a_word():
    lock, code = changed(["agree", "compare"], "mettle/stages/compare/representation.py")
    code["rules"]["agree"]["revision"] += 1
    assert [text.split(":")[0] for text in revisions.parted(lock, code)] == ["rule compare"]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ('def f(x):\n    """One."""\n    return x\n', 'def f(x):\n    """Two."""\n\n    # why\n    return x\n', True),
        ('"""A."""\nX = 1\n', "X = 1\n", True),
        ("def f(x):\n    return x\n", "def f(x):\n    return x + 1\n", False),
        ("X = 'text'\n", "X = 'other'\n", False),
    ],
)
def test_docstrings_and_comments_are_no_change(tmp_path, before, after, same):
    paths = tmp_path / "a.py", tmp_path / "b.py"
    for path, text in zip(paths, (before, after), strict=True):
        path.write_text(text)
    assert (revisions.digest(paths[0]) == revisions.digest(paths[1])) == same


def test_the_code_of_a_rule_is_what_its_script_imports_without_plumbing():
    found = revisions.modules(SCRIPTS / "attack.py")
    assert {"attack.py", "mettle/perturb/pgd.py", "mettle/models/fold.py", "mettle/data/sample.py"} <= set(found)
    assert not any(name.startswith(("mettle/plan/", "mettle/stages/plot/")) for name in found)
    assert "mettle/files.py" not in found


def test_plumbing_exists():
    names = [path.relative_to(SCRIPTS).as_posix() for path in LIBRARY.rglob("*.py")]
    kept = [name for name in names if revisions.PLUMBING.fullmatch(name)]
    assert {"mettle/files.py", "mettle/flow/locks.py", "mettle/models/loggers.py", "mettle/tables/pages.py"} <= set(
        kept
    )


def test_raising_changes_the_named_rules_alone():
    text = "rule a:\n    params:\n        revision=2,\n\n\nrule b:\n    params:\n        revision=9,\n"
    assert revisions.raised(text, ["b"]) == text.replace("revision=9", "revision=10")


@pytest.mark.parametrize("rules", [[], ["attak"]])
def test_raising_nothing_or_an_unknown_rule_is_refused(rules):
    with pytest.raises(ValueError, match=r"make raise RULES=\"attack compare\""):
        revisions.raise_(rules)


def test_the_lock_is_written_as_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(revisions, "LOCK", tmp_path / "lock")
    assert revisions.read() == {"rules": {}, "modules": {}}
    revisions.write(revisions.now())
    assert revisions.read() == revisions.now()
