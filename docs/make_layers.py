"""Writes the table and picture of docs/layers.md from its finished figure, which docs/layers.md says how to make."""

from pathlib import Path

import blocks
import numpy as np
from finished import made, read

PAGE = Path(__file__).with_name("layers.md")


def layers() -> str:
    """By comparison: similarity of neighbours, of layers at the same place, and of the first with the last."""
    frame, rows = read("layers"), []
    for (label, label_b), own in frame.groupby(["label", "label_b"], sort=False):
        grid = own["value"].to_numpy().reshape(own["layer"].nunique(), own["layer_b"].nunique())
        same = label == label_b
        what = str(label) if same else f"{label} and {label_b}"
        rows.append([what, *_numbers(grid, same=same)])
    table = blocks.table(
        ["mean CKA of", "neighbours", "the same place", "the first of one and the last of the other"], rows
    )
    return (
        blocks.picture("layers", 720, "Similarity of the layers of networks, with themselves and with others") + table
    )


def _numbers(grid: np.ndarray, *, same: bool) -> list[str]:
    neighbours = np.diag(grid, 1) if same else np.concatenate([np.diag(grid, 1), np.diag(grid, -1)])
    ends = grid[[0, -1], [-1, 0]]
    return [f"{neighbours.mean():.2f}", f"{np.diag(grid).mean():.2f}", f"{ends.mean():.2f}"]


PARTS = {"layers": layers, "made": lambda: made("layers")}

if __name__ == "__main__":
    PAGE.write_text(blocks.fill(PAGE.read_text(encoding="utf-8"), lambda name: PARTS[name]()), encoding="utf-8")
