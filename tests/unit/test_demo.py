"""`make demo`: what it shows while Snakemake works, and what it says and leaves when it is stopped."""

import io
import itertools
import signal
import subprocess
import sys

import pytest
from tqdm import tqdm

import demo
from imports import ROOT, SCRIPTS

# As Snakemake talks: four jobs to go, two begin, one ends. Then it waits for the signal, takes its lock away, and ends.
STAND_IN = """
import pathlib, signal, sys
lock = pathlib.Path("lock")
lock.touch()
def end(number, frame):
    lock.unlink()
    print("Terminating processes on user request, this might take some time.", flush=True)
    sys.exit(1)
signal.signal(signal.SIGINT, end)
print("Job stats:", "total      4", "rule prep:", "    jobid: 3", "localrule train:", "    jobid: 2", sep="\\n")
print("Finished jobid: 3 (Rule: prep)", "1 of 4 steps (25%) done", sep="\\n", flush=True)
signal.pause()
"""
LINES = """Job stats:
total      4
rule prep:
    jobid: 3
localrule train:
    jobid: 2
Finished jobid: 3 (Rule: prep)
1 of 4 steps (25%) done
rule attack:
    jobid: 1
""".splitlines(keepends=True)


def started(folder):
    """A demo in a folder whose Snakemake is the stand-in, once there are jobs to go."""
    (folder / "stand_in.py").write_text(STAND_IN)
    code = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import demo; "
    code += "demo.SNAKEMAKE = [sys.executable, 'stand_in.py']; sys.exit(demo.main())"
    command = [sys.executable, "-c", code, "--figures", "accuracy"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "4 jobs to go\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_stopped_demo_ends_snakemake_properly_and_says_how_to_go_on(tmp_path, number):
    process = started(tmp_path)
    assert (tmp_path / "lock").exists()
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == 128 + number and err == ""
    assert out == "Stopped: the same command goes on where it was.\n"
    assert not (tmp_path / "lock").exists()


def test_snakemake_is_ended_when_its_jobs_cannot_be_shown(tmp_path, monkeypatch):
    (tmp_path / "stand_in.py").write_text(STAND_IN)

    def closed(lines, output, bar):
        output += itertools.islice(lines, 3)
        raise OSError(5, "Input/output error")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "follow", closed)
    before = [signal.getsignal(number) for number in demo.STOPS]
    try:
        with pytest.raises(OSError, match="Input/output error"):
            demo.run([sys.executable, "stand_in.py"])
    finally:
        for number, handler in zip(demo.STOPS, before, strict=True):
            signal.signal(number, handler)
    assert not (tmp_path / "lock").exists()


def test_the_bar_shows_at_once_how_many_jobs_there_are_and_which_are_at_work():
    screen, output = io.StringIO(), []
    with tqdm(file=screen, mininterval=0) as bar:
        demo.follow(LINES[:4], output, bar)
        assert (bar.n, bar.total) == (0, 4) and screen.getvalue().rstrip().split("\r")[-1].startswith("prep:   0%")
        demo.follow(LINES[4:], output, bar)
        assert (bar.n, bar.total) == (1, 4) and screen.getvalue().split("\r")[-1].startswith("attack, train:  25%")
    assert output == LINES


def test_without_a_terminal_there_is_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(demo.time, "monotonic", itertools.count(0, 25).__next__)
    with tqdm(disable=True) as bar:
        demo.follow([*LINES, "2 of 4 steps (50%) done\n", "3 of 4 steps (75%) done\n"], [], bar)
    assert capsys.readouterr().out.splitlines() == [
        "4 jobs to go",
        "2 of 4 jobs done; at work: attack, train",
    ]


def test_a_lock_that_was_left_is_said_with_the_program_that_takes_it_away(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(demo.sys, "executable", str(ROOT / ".venv" / "bin" / "python"))
    said = demo.why(1, ["LockException:\n", "Error: Directory cannot be locked. Please make sure\n"])
    assert "`.venv/bin/snakemake --unlock` takes it away" in said and "names the job" not in said


def test_a_job_that_failed_is_only_spoken_of_if_there_is_one():
    assert "names the job that failed" in demo.why(1, ["Error in rule prep:\n", "    jobid: 3\n"])
    assert demo.why(1, ["WorkflowError\n"]) == "WorkflowError\n\nThe demo did not finish: the last lines above say why."


def test_an_unknown_figure_is_refused_before_anything_starts(capsys, monkeypatch):
    monkeypatch.setattr(demo.sys, "argv", ["demo", "--figures", "fig55"])
    monkeypatch.setattr(demo, "run", lambda command: pytest.fail("has started"))
    assert demo.main() == 2 and "unknown figure 'fig55'" in capsys.readouterr().out
