"""What casts doubt on the numbers of an attack, seen on the clean images: it goes with them into every table."""

from collections.abc import Iterable, Mapping

import pandas as pd

from mettle.tables.columns import BOOL, Column

FLAGS = {
    "gradient_zero": Column(BOOL, "whether the gradient of the cross-entropy is exactly zero at the clean image"),
    "randomised": Column(BOOL, "whether two passes over the clean image differ by more than rounding"),
    "probabilities": Column(BOOL, "whether the logits of the clean image are none negative and sum to 1"),
}
_WORDS = {
    "gradient_zero": "zero gradient",
    "randomised": "randomised output",
    "probabilities": "outputs that look like probabilities",
}


def doubts(shares: Mapping[str, float], notes: Iterable[str] = ()) -> str | None:
    """Flags in words, and what notes say to do; None where all is well.

    Parameters
    ----------
    shares : share of the images with each flag, by the keys of `FLAGS`
    notes : what else is to be said, each once
    """
    said = [f"{text} for {shares[key]:.1%} of the images" for key, text in _WORDS.items() if shares[key]]
    return together([*said, *notes])


def doubts_of(answers: pd.DataFrame) -> str | None:
    """Doubts about rows that have a column per flag, and a `note` on all where there is one."""
    notes = answers["note"].dropna() if "note" in answers else ()
    return doubts({key: float(answers[key].mean()) for key in FLAGS}, notes)


def together(notes: Iterable[str]) -> str | None:
    """Notes joined, each once; None of none."""
    return "; ".join(dict.fromkeys(notes)) or None
