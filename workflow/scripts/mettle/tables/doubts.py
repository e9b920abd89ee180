"""Doubts about the results of an attack, found on the clean images; they are passed on to every table."""

from collections.abc import Iterable, Mapping

import pandas as pd

from mettle.tables.columns import BOOL, Column

FLAGS = {
    "gradient_zero": Column(BOOL, "whether the gradient of what the attack raises is exactly zero at the clean image"),
    "randomised": Column(BOOL, "whether two passes over the clean image differ by more than rounding"),
    "probabilities": Column(BOOL, "whether the logits of the clean image are non-negative and sum to 1"),
}
_WORDS = {
    "gradient_zero": "zero gradient",
    "randomised": "randomised output",
    "probabilities": "outputs that look like probabilities",
}


def doubts(shares: Mapping[str, float], notes: Iterable[str] = ()) -> str | None:
    """Flags and notes in words; None if there are none.

    Parameters
    ----------
    shares : fraction of the images with each flag, by the keys of `FLAGS`
    notes : further sentences, each used once
    """
    said = [f"{text} for {shares[key]:.1%} of the images" for key, text in _WORDS.items() if shares[key]]
    return together([*said, *notes])


def doubts_of(answers: pd.DataFrame) -> str | None:
    """Doubts about rows that have a column per flag, and perhaps a column `note`."""
    notes = answers["note"].dropna() if "note" in answers else ()
    return doubts({key: float(answers[key].mean()) for key in FLAGS}, notes)


def together(notes: Iterable[str]) -> str | None:
    """Notes joined, each once; None if there are none."""
    return "; ".join(dict.fromkeys(notes)) or None
