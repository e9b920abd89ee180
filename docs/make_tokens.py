"""Writes the tables and pictures of docs/tokens.md from its finished figures, which docs/tokens.md says how to make."""

import shutil
from pathlib import Path

import blocks
import pandas as pd

from mettle import tables
from mettle.plan.figures import FIGURES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tokens.md"


def read(figure: str) -> pd.DataFrame:
    """The table of a figure."""
    frame = tables.read(ROOT / "results" / "tables" / f"{figure}.parquet", FIGURES[figure].table)
    shutil.copyfile(ROOT / "results" / "figures" / f"{figure}.png", ROOT / "docs" / f"{figure}.png")
    return frame.astype({"value": float, "lo": float, "hi": float})


def features() -> str:
    """Change of clean features, and similarity under each attack, by model."""
    frame = read("tokens_features")
    attacks = list(dict.fromkeys(frame["attack"]))
    rows = []
    for label, own in frame.groupby("label", sort=False):
        clean = own[own["measure"] == "clean"].iloc[0]
        found = [own[(own["measure"] == "base") & (own["attack"] == attack)].iloc[0] for attack in attacks]
        cells = [f"{row['value']:.3f} ({row['lo']:.3f} to {row['hi']:.3f})" for row in found]
        rows.append([str(label), f"{1 - clean['value']:.3f}", *cells])
    return blocks.table(["model", "change of clean features", *attacks], rows)


# What the page shows of each task.
_SHOWN = {"classification": "accuracy", "segmentation": "miou", "depth": "a1"}


def downstream() -> str:
    """Scores of heads, clean and by the network that the attack saw."""
    frame = read("tokens_downstream")
    rows = []
    for task, measure in _SHOWN.items():
        own = frame[(frame["task"] == task) & (frame["measure"] == measure)]
        for label, values in own.groupby("label", sort=False):
            seen = values.set_index(values["through"].fillna("clean"))
            found = [seen.loc[name] if name in seen.index else None for name in ("clean", "base", "self")]
            cells = ["" if row is None else f"{row['value']:.2f} ({row['lo']:.2f} to {row['hi']:.2f})" for row in found]
            rows.append([task, str(label), *cells])
    heads = ["task", "model", "clean", "attacked through the network without tokens", "attacked through itself"]
    return blocks.table(heads, rows)


def surrogates() -> str:
    """Accuracy by the model that the attack saw and the one that its images were shown to."""
    frame = read("surrogates")
    models = list(dict.fromkeys(frame["label"]))
    clean = frame.drop_duplicates("label").set_index("label")["clean"].astype(float)
    rows = [["clean images", *(f"{clean[model]:.2f}" for model in models)]]
    for seen, own in frame.groupby("label_through", sort=False):
        values = own.set_index("label")
        rows.append([str(seen), *(f"{values['value'][m]:.2f} ± {_half(values.loc[m]):.2f}" for m in models)])
    return blocks.table(["attacked through", *models], rows)


def _half(row: pd.Series) -> float:
    return (row["hi"] - row["lo"]) / 2


def made() -> str:
    """At which commit and on which processor it was made."""
    sources = read("tokens_features").attrs["provenance"]
    commits, processors = (
        ", ".join(sorted({source[key] for source in sources if source.get(key)})) for key in ("commit", "processor")
    )
    return f"Made at commit {commits} on {processors}."


PARTS = {"features": features, "downstream": downstream, "surrogates": surrogates, "made": made}

if __name__ == "__main__":
    PAGE.write_text(blocks.fill(PAGE.read_text(encoding="utf-8"), lambda name: PARTS[name]()), encoding="utf-8")
