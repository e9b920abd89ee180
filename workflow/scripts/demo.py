"""`make demo`: runs the whole chain at demo scale and names the figures and tables it made."""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

from tqdm import tqdm

from mettle import schema, tables
from mettle.plan import Plan

ACCURACY = "results/tables/accuracy.parquet"


def main() -> int:
    """Run the workflow; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", default="2")
    parser.add_argument("--figures", nargs="+", default=["all"], help="figures and tables of config.yaml, or all")
    options = parser.parse_args()
    try:
        wanted = targets(options.figures)
    except ValueError as error:
        return print(error) or 2
    started = time.monotonic()
    before = made()
    status, output = run(["snakemake", "--cores", options.cores, "--rerun-incomplete", "--show-failed-logs", *wanted])
    if status:
        print(
            "".join(output[-60:])
            + "\nThe demo did not finish: the output above names the job that failed and shows its log."
        )
        return status
    if made() == before:
        print("Nothing to be done: everything is up to date.")
    else:
        print(f"\nDone in {time.monotonic() - started:.0f} s.")
    if Path(ACCURACY).exists():
        print(summary())
    print("\nFigures and tables:")
    for path in made():
        print(f"  {path}")
    return status


def targets(figures: list[str]) -> list[str]:
    """Files of these figures and tables; those of the whole configuration for `all`."""
    plan = Plan(schema.read_yaml("config/config.yaml"))
    return plan.targets(None if figures == ["all"] else figures)


def run(command: list[str]) -> tuple[int, list[str]]:
    """Exit status and output of Snakemake, with a bar that counts its jobs."""
    output = []
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
        tqdm(desc="start", unit="job", mininterval=1 if sys.stderr.isatty() else 30, delay=1, smoothing=0) as bar,
    ):
        for line in process.stdout:
            output.append(line)
            if found := re.match(r"(\d+) of (\d+) steps", line):
                bar.total = int(found[2])
                bar.update(int(found[1]) - bar.n)
            elif found := re.match(r"(?:local)?rule (\w+):", line):
                bar.set_description(found[1], refresh=False)
    return process.returncode, output


def made() -> dict[Path, float]:
    """Figures and tables with the times at which they were written."""
    found = [*Path("results/figures").glob("*.pdf"), *Path("results/figures").glob("*.png")]
    found += Path("results/tables").glob("*.parquet")
    return {path: path.stat().st_mtime for path in sorted(found)}


def summary() -> str:
    """Accuracy by data set, number of images, recipe and attack, mean over models."""
    frame = tables.read(ACCURACY, tables.ACCURACY)
    frame = frame[frame["measure"] == "accuracy"].astype({"value": float})
    frame["recipe"] = frame["model"].str.split("-").str[1]
    wide = frame.pivot_table(index=["dataset", "n", "recipe"], columns="attack", values="value", sort=False)
    wide = wide.rename_axis(index={"n": "images"})
    text = f"\nAccuracy by training recipe, clean and attacked, mean over models:\n{wide.round(3).to_string(na_rep='')}"
    doubtful = frame.loc[frame["note"].notna(), "model"].unique()
    if len(doubtful):
        text += f"\nIn doubt, see column note of {ACCURACY.replace('.parquet', '.html')}: {', '.join(doubtful)}"
    return text


if __name__ == "__main__":
    sys.exit(main())
