"""`make demo`: runs the whole chain at demo scale and names the figures and tables it made."""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mettle import schema, tables
from mettle.plan import Plan
from mettle.plan.figures import FIGURES

ACCURACY = "results/tables/accuracy.parquet"
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, `kill`, a terminal that is closed


def main() -> int:
    """Run the workflow; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", default="2")
    parser.add_argument("--figures", nargs="+", default=["all"], help="figures and tables of config.yaml, or all")
    options = parser.parse_args()
    try:
        plan = Plan(schema.read_yaml("config/config.yaml"))
        wanted = plan.targets(None if options.figures == ["all"] else options.figures)
    except ValueError as error:
        return print(error) or 2
    started = time.monotonic()
    before = made()
    status, output = run([*SNAKEMAKE, "--cores", options.cores, "--rerun-incomplete", "--show-failed-logs", *wanted])
    if status:
        with suppress(OSError):  # the terminal is closed
            print(why(status, output), flush=True)
        return status
    if made() == before:
        print("Nothing to be done: everything is up to date.")
    else:
        print(f"\nDone in {time.monotonic() - started:.0f} s.")
    if Path(ACCURACY).exists():
        print(summary(plan.models))
    print("\nFigures and tables:")
    for path in made():
        print(f"  {path}")
    return status


def run(command: list[str]) -> tuple[int, list[str]]:
    """Exit status and output of Snakemake, with a bar of its jobs; what ends this process ends Snakemake properly."""
    output: list[str] = []
    for number in STOPS:
        signal.signal(number, _stop)
    # In a session of its own, so that a Ctrl-C reaches it once and from here.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        with tqdm(desc="start", unit="job", mininterval=1, leave=False, smoothing=0, disable=None) as bar:
            follow(process.stdout, output, bar)
        return process.wait(), output
    except BaseException as error:  # also of a terminal that is closed
        _end(process, output)
        if isinstance(error, Stopped):
            return 128 + error.args[0], output
        raise


def _end(process: subprocess.Popen, output: list[str]) -> None:
    """End Snakemake and its jobs as a Ctrl-C does, and wait for them."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    output += process.communicate()[0].splitlines(keepends=True)


class Stopped(Exception):
    """A signal that ends the demo, by its number."""


def _stop(number: int, frame: object) -> None:
    raise Stopped(number)


def follow(lines: Iterable[str], output: list[str], bar: tqdm) -> None:
    """Keep what Snakemake says, and show how many jobs there are, how many are done and which rules are at work.

    Without a terminal, that is a line each time a job ends and half a minute has passed.
    """
    running: dict[str, str] = {}
    rule, spoken = "", time.monotonic()
    for line in lines:
        output.append(line)
        if found := re.match(r"(?:local)?rule (\w+):", line):
            rule = found[1]
        elif found := re.match(r" +jobid: (\d+)", line):
            running[found[1]] = rule
        elif found := re.match(r"Finished jobid: (\d+)", line):
            running.pop(found[1], None)
        elif found := re.match(r"(\d+) of (\d+) steps", line):
            bar.total, bar.n = int(found[2]), int(found[1])
            if bar.disable and time.monotonic() - spoken > 30:
                spoken = time.monotonic()
                print(f"{found[1]} of {found[2]} jobs done; at work: {_at_work(running)}", flush=True)
        elif found := re.match(r"total +(\d+)$", line):
            bar.total = int(found[1])
            if bar.disable:
                print(f"{bar.total} jobs to go", flush=True)
        else:
            continue
        bar.set_description(_at_work(running))


def _at_work(running: dict[str, str]) -> str:
    return ", ".join(sorted(set(running.values()))) or "the next"


def why(status: int, output: list[str]) -> str:
    """Why the demo has not finished, and what to do; the last lines of the output unless it was stopped."""
    text, tail = "".join(output), "".join(output[-60:])
    if status - 128 in STOPS:
        return "Stopped: the same command goes on where it was."
    if "Directory cannot be locked" in text:
        program = shlex.quote(os.path.relpath(Path(sys.executable).with_name("snakemake")))
        return (
            f"{tail}\nAnother run is at work in this folder, or one that was killed has left its lock; if there is no "
            f"other, `{program} --unlock` takes it away, and the same command goes on where it was."
        )
    if re.search("^Error in rule", text, re.MULTILINE):
        return f"{tail}\nThe demo did not finish: the output above names the job that failed and shows its log."
    return f"{tail}\nThe demo did not finish: the last lines above say why."


def made() -> dict[Path, float]:
    """Figures and tables with the times at which they were written."""
    found = [*Path("results/figures").glob("*.pdf"), *Path("results/figures").glob("*.png")]
    found += Path("results/tables").glob("*.parquet")
    return {path: path.stat().st_mtime for path in sorted(found)}


def summary(models: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy by data set, number of images, recipe and attack, mean over models.

    Parameters
    ----------
    models : rows of the sheets by name
    """
    frame = tables.read(ACCURACY, FIGURES["accuracy"].table)
    frame = frame[(frame["measure"] == "accuracy") & frame["over"].isna()].astype({"value": float})
    frame["recipe"] = [models[name]["recipe"] if name in models else "" for name in frame["model"]]
    wide = frame.pivot_table(index=["dataset", "n", "recipe"], columns="attack", values="value", sort=False)
    wide = wide.rename_axis(index={"n": "images"})
    text = f"\nAccuracy by training recipe, clean and attacked, mean over models:\n{wide.round(3).to_string(na_rep='')}"
    doubtful = frame.loc[frame["note"].notna(), "model"].unique()
    if len(doubtful):
        text += f"\nIn doubt, see column note of {ACCURACY.replace('.parquet', '.html')}: {', '.join(doubtful)}"
    return text


if __name__ == "__main__":
    sys.exit(main())
