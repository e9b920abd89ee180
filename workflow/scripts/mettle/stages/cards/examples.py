"""Images on a card: inverted, attacked and corrupted ones, with the model's answers."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from mettle import markup, tables
from mettle.data import Store
from mettle.data.preview import SMALL, preview

_IMAGES = 6  # of a kind
_CORRUPTED = 3  # images under corruptions


def inverted(path: str) -> str:
    """Seeds' inversions with the class of their targets."""
    store = Store(Path(path).with_suffix(".lmdb"))
    images = [(np.asarray(store.image(k)), _name(store, int(store.labels[k]))) for k in range(min(_IMAGES, len(store)))]
    return _row(_figure(image, f"towards an image of {name}" if name else "") for image, name in images)


def attacked(path: str, answers: str | None) -> str:
    """Attacked images, with the class and the model's answer where the attack's table exists.

    Parameters
    ----------
    path : manifest of attacked images, beside their store
    answers : table of the same attack, or None
    """
    store = Store(Path(path).with_suffix(".lmdb"))
    known = tables.read(answers, tables.ATTACK).set_index("id") if answers else pd.DataFrame()
    figures = []
    for k in range(min(_IMAGES, len(store))):
        label, number = int(store.labels[k]), int(store.ids[k])
        said = _name(store, label)
        if number in known.index:
            row = known.loc[number]
            before, after = (_name(store, int(row[key])) for key in ("clean_prediction", "prediction"))
            said = f"{said}: clean {_told(before, said)}, attacked {_told(after, said)}"
        figures.append(_figure(np.asarray(store.image(k)), said))
    return _row(figures)


def _told(answer: str, true: str) -> str:
    return f"“{answer}”" + ("" if answer == true else " ✗")


def pictures(path: str) -> str:
    """Images of a dense task, their targets, and the answers to the clean and the attacked image."""
    rows = tables.read(path, tables.PICTURES)
    lines = []
    for _, parts in list(rows.groupby("id", sort=False))[:_CORRUPTED]:
        figures = []
        for part in parts.itertuples():
            score = "" if pd.isna(part.value) else f", {part.measure} {part.value:.2f}"
            figures.append(_encoded(part.image, "png", f"{part.shows.replace('_', ' ')}{score}", small=False))
        lines.append(_row(figures))
    return "".join(lines)


def corrupted(path: str, answers: Sequence[str]) -> str:
    """Images under every type of corruption at the highest severity that the model was evaluated at, with its answers.

    Parameters
    ----------
    path : table of images of a data set under corruptions
    answers : tables of a classifier under corruptions, of the same data set
    """
    rows = tables.read(path, tables.EXAMPLES)
    known = pd.concat([tables.read(one, tables.CORRUPT["classification"]) for one in answers])
    known = known.drop_duplicates(["id", "corruption", "severity"]).set_index(["id", "corruption", "severity"])
    return "".join(_row(_of_image(part, known)) for _, part in list(rows.groupby("id", sort=False))[:_CORRUPTED])


def _of_image(part: pd.DataFrame, known: pd.DataFrame) -> Iterator[str]:
    answered = part[
        [place in known.index for place in zip(part["id"], part["corruption"], part["severity"], strict=True)]
    ]
    top = answered.sort_values("severity", kind="stable").drop_duplicates("corruption", keep="last")
    for row in answered[answered.index.isin(top.index)].itertuples():
        answer = known.loc[(row.id, row.corruption, row.severity)]
        mark = "✓" if answer["prediction"] == answer["label"] else "✗"
        words = row.corruption.replace("_", " ") + (f" {row.severity}" if row.severity else "")
        yield _encoded(row.image, "png", f"{words} {mark}", small=False)


def _name(store: Store, label: int) -> str:
    """Name of a class, or its number."""
    return store.class_names[label] if 0 <= label < len(store.class_names) else str(label) if label >= 0 else ""


def _figure(image: np.ndarray, caption: str) -> str:
    kind, data = preview(image)
    return _encoded(data, kind, caption, small=max(image.shape[:2]) <= SMALL)


def _encoded(data: bytes, kind: str, caption: str, *, small: bool) -> str:
    address = markup.address(kind, data)
    css = ' class="small"' if small else ""
    picture = f'<img{css} src="{address}" alt="{escape(caption)}">'
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def _row(figures: Iterator[str] | Sequence[str]) -> str:
    return f'<div class="images">{"".join(figures)}</div>'
