"""Clean and attacked accuracy of models, from the answers to every image."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest


def summarise(attacks: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the accuracy table: clean once per model, and attacked once per model and attack."""
    keys = ["dataset", "split", "model", "attack", "norm", "eps"]
    rows = []
    for values, group in attacks.groupby(keys, sort=False):
        cell = dict(zip(keys, values, strict=True)) | {"measure": "accuracy"}
        if not any(row["model"] == cell["model"] and row["attack"] == "clean" for row in rows):
            clean = cell | {"attack": "clean", "norm": None, "eps": 0.0}
            rows.append(clean | _share((group["clean_prediction"] == group["label"]).to_numpy()))
        rows.append(cell | _share((group["prediction"] == group["label"]).to_numpy()))
    return rows


def _share(correct: np.ndarray) -> dict[str, Any]:
    """Share of correct answers with its 95 % Wilson interval."""
    interval = binomtest(int(correct.sum()), len(correct)).proportion_ci(0.95, method="wilson")
    return {"n": len(correct), "value": float(correct.mean()), "lo": interval.low, "hi": interval.high, "note": None}
