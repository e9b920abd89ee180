"""The Dockerfile, which is built elsewhere: its base is exact, make installs, and nobody is root."""

import re

from imports import ROOT

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STEPS = re.findall(r"^([A-Z]+) ((?:.*\\\n)*.*)$", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE), re.MULTILINE)


def arguments(name):
    return [argument for step, argument in STEPS if step == name]


def test_the_base_is_exact_and_of_a_python_that_is_locked():
    first, *others = arguments("FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm AS (\w+)", first)
    assert all(other.split()[0] == first.split()[-1] for other in others)


def test_make_installs_from_what_was_copied_and_pip_from_nothing_else():
    (copied,) = (line for line in arguments("COPY") if "requirements.hashes" in line)
    rule = re.search(r"^\$\(READY\): (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    names = [name.replace("requirements.txt", "requirements*.txt") for name in rule.split()]
    assert all(name in copied.split() for name in ["Makefile", *names])
    assert "make env" in arguments("RUN") and "pip install" not in TEXT


def test_what_runs_is_no_root():
    assert arguments("USER") == ["1000"]
    order = [step for step, _ in STEPS]
    assert order.index("USER") < order.index("COPY")
    assert all(line.startswith(("--chown=mettle", "--from=environment --chown=mettle")) for line in arguments("COPY"))


def test_the_folder_of_the_environment_is_that_of_the_image():
    (folder,) = arguments("WORKDIR")
    assert f"--from=environment --chown=mettle:mettle {folder}/.venv .venv" in arguments("COPY")
    assert f'PATH="{folder}/.venv/bin:$PATH"' in arguments("ENV")
    assert f":{folder}/results" in (ROOT / "docs/environments.md").read_text()


def test_what_git_ignores_is_not_copied():
    def read(name):
        lines = (ROOT / name).read_text().splitlines()
        return {line.replace("**/", "").strip("/").replace("!/", "!") for line in lines if line and line[0] != "#"}

    assert read(".dockerignore") == read(".gitignore")
