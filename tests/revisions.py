"""
The code behind the numbers of each rule: whether it has changed since the rule's revision was set.

workflow/revisions.lock holds, for each rule, its revision and a digest of all modules that its script imports, comments
and docstrings aside. When code and lock part, say one of two words:

    make raise RULES="attack compare"   the numbers of these rules change: raises their revision, in the rule and here
    make stays                          no number changes: compares with the recorded ones, then notes the new code
"""

import ast
import hashlib
import re
import subprocess
import sys
from functools import cache

import yaml

from imports import ROOT, SCRIPTS, closure, own_rules

LOCK = ROOT / "workflow" / "revisions.lock"
RULES = ROOT / "workflow" / "rules"
HEAD = "# Which code each rule's revision stands for: made by `make stays` and `make raise`, see CONTRIBUTING.md.\n"
# Modules that move, name and describe things, and change no number.
PLUMBING = re.compile(
    r"mettle/(files|schema|typed|units|controller/.*|flow/(attempts|locks|progress|threads)|plan/.*|tables/(pages|pivots)"
    r"|data/archives|models/(checkpoint|device|loggers)|distributed/(slurm|task)|stages/__init__)\.py"
)


@cache
def digest(path):
    """Digest of what a module does: its syntax without docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:12]


def scripts():
    """Script and revision of every rule, by name."""
    found = {}
    for file in sorted(RULES.glob("*.smk")):
        for text in re.split(r"^rule ", own_rules(file), flags=re.MULTILINE)[1:]:
            script = re.search(r'^        "\.\./scripts/(\w+\.py)"', text, re.MULTILINE)[1]
            found[text.split(":")[0]] = (SCRIPTS / script, int(re.search(r"revision=(\d+)", text)[1]))
    return found


@cache
def modules(script):
    """Modules that decide the numbers of a script, with their digests, by their path in the folder of scripts."""
    paths = {path.relative_to(SCRIPTS).as_posix(): path for path in closure(script)}
    return {name: digest(path) for name, path in sorted(paths.items()) if not PLUMBING.fullmatch(name)}


def now():
    """The lock as the code would have it."""
    rules, seen = {}, {}
    for rule, (script, revision) in scripts().items():
        found = modules(script)
        seen |= found
        rules[rule] = {"revision": revision, "code": hashlib.sha256(repr(found).encode()).hexdigest()[:12]}
    return {"rules": rules, "modules": dict(sorted(seen.items()))}


def parted(lock, code):
    """A sentence per rule whose code has changed while its revision stayed.

    Parameters
    ----------
    lock, code : what the file says, and `now`
    """
    found = []
    for rule, about in code["rules"].items():
        known = lock["rules"].get(rule)
        if known and known["revision"] == about["revision"] and known["code"] != about["code"]:
            mine = modules(scripts()[rule][0])
            changed = sorted(name for name in mine if lock["modules"].get(name) != mine[name])
            names = ", ".join(changed) or "what it imports"
            found.append(
                f"rule {rule}: {names} changed since revision {about['revision']}: if its numbers change, "
                f"`make raise RULES={rule}`; if they stay, `make stays`"
            )
    return found


def read():
    """What the lock says."""
    return yaml.safe_load(LOCK.read_text()) if LOCK.exists() else {"rules": {}, "modules": {}}


def write(lock):
    """Write the lock, a line per rule and module."""
    lines = [HEAD, "rules:\n"]
    for rule, about in sorted(lock["rules"].items()):
        lines.append(f"  {rule}: {{revision: {about['revision']}, code: '{about['code']}'}}\n")
    lines += ["modules:\n", *(f"  {name}: '{code}'\n" for name, code in sorted(lock["modules"].items()))]
    LOCK.write_text("".join(lines))


def raise_(rules):
    """Raise the revision of rules, in their files and in the lock; ValueError for an unknown name."""
    known = scripts()
    if unknown := [rule for rule in rules if rule not in known] or not rules:
        raise ValueError(f'unknown rules {unknown}: make raise RULES="attack compare", of {", ".join(known)}')
    for file in RULES.glob("*.smk"):
        file.write_text(raised(file.read_text(), rules))
    lock, code = read(), now()
    lock["rules"] |= {rule: code["rules"][rule] for rule in rules}
    write(code if not parted(lock, code) else lock)


def raised(text, rules):
    """A rule file with the revision of some rules raised by one."""
    pieces = re.split(r"^(?=rule )", text, flags=re.MULTILINE)
    for place, piece in enumerate(pieces):
        if re.match(r"rule (\w+):", piece) and re.match(r"rule (\w+):", piece)[1] in rules:
            pieces[place] = re.sub(r"revision=(\d+)", lambda found: f"revision={int(found[1]) + 1}", piece, count=1)
    return "".join(pieces)


def stays():
    """Take the code over if the tests with recorded numbers pass; exit status."""
    command = [sys.executable, "-m", "pytest", "-q", "-k", "golden", "tests/unit/test_golden.py", "tests/unit/measures"]
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        print("Numbers differ from the recorded ones: raise the revision of their rules (make raise RULES=...)")
        return code
    write(now())
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["raise"]:
        try:
            raise_(sys.argv[2:])
        except ValueError as error:
            sys.exit(str(error))
    else:
        sys.exit(stays())
