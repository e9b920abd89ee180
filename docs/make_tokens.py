"""Writes the tables and pictures of docs/tokens.md from its finished figures, which docs/tokens.md says how to make.

What is on the page of a figure that has not been made here stays.
"""

from functools import partial
from pathlib import Path

import blocks
import pandas as pd
from finished import made, read, there

from mettle.stages.plot.transfer import TITLES, value_of

PAGE = Path(__file__).with_name("tokens.md")


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
    shows = "Scores of heads of three tasks, clean and under both attacks, without tokens and with stock and own heads"
    return blocks.picture("tokens_downstream", 760, shows) + blocks.table(heads, rows)


def corruptions() -> str:
    """Scores of heads, clean and under corruptions, and the part that is left."""
    frame = read("tokens_corruptions")
    parts = {"clean": ("clean", "score"), "corrupted (mPC)": ("mean", "mpc"), "left (rPC)": ("mean", "rpc")}
    rows = []
    for (task, series), own in frame.groupby(["task", "backbone"], sort=False):
        found = [value_of(own, *part) for part in parts.values()]
        cells = [f"{value:.2f} ({lo:.2f} to {hi:.2f})" for value, lo, hi in found]
        rows.append([f"{task}, {TITLES[own['measure'].iloc[0]]}", str(series), *cells])
    shows = "Corrupted against clean scores of heads of three tasks, and what is left by group of corruptions"
    return blocks.picture("tokens_corruptions", 760, shows) + blocks.table(["task", "model", *parts], rows)


def predictions() -> str:
    """The picture alone."""
    read("predictions")
    shows = "Images, targets, and the answers of heads of segmentation and depth, clean and attacked"
    return blocks.picture("predictions", 820, shows)


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


def activations() -> str:
    """Largest activations of every layer, clean and attacked, by model."""
    frame = read("tokens_activations")
    frame = frame[frame["measure"] == "largest"]
    columns = list(dict.fromkeys(zip(frame["label"], frame["attack"], strict=True)))
    rows = []
    for layer, own in frame.groupby("layer", sort=False):
        values = own.set_index(["label", "attack"])
        found = [values.loc[column] for column in columns]
        rows.append([str(layer), *(f"{row['value']:.2f} ({row['lo']:.2f} to {row['hi']:.2f})" for row in found)])
    table = blocks.table(["layer", *(f"{label}, {attack}" for label, attack in columns)], rows)
    shows = "Largest activation of every block, clean and attacked, without and with tokens"
    return blocks.picture("tokens_activations", 620, shows) + table


# Part of the page: its figure, and what writes it.
PARTS = {
    "features": ("tokens_features", features),
    "downstream": ("tokens_downstream", downstream),
    "predictions": ("predictions", predictions),
    "corruptions": ("tokens_corruptions", corruptions),
    "made.downstream": ("tokens_downstream", partial(made, "tokens_downstream")),
    "surrogates": ("surrogates", surrogates),
    "made": ("tokens_features", partial(made, "tokens_features")),
    "activations": ("tokens_activations", activations),
    "made.activations": ("tokens_activations", partial(made, "tokens_activations")),
}


def part(name: str) -> str | None:
    """A part of the page; None if its figure has not been made."""
    figure, write = PARTS[name]
    return write() if there(figure) else None


if __name__ == "__main__":
    PAGE.write_text(blocks.fill(PAGE.read_text(encoding="utf-8"), part), encoding="utf-8")
