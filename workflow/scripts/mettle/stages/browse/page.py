"""The page of a packed split: its counts, and a sample of its images with their targets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from mettle import markup
from mettle.data import Store, TargetStore
from mettle.stages.browse import drawing
from mettle.stages.browse.counts import Counts, count, spread
from mettle.typed import DatasetRow

SHOWN = 24  # images on a page
_TITLES = {"label_map": "label map", "objects": "objects", "depth": "distance"}
_STYLE = """
body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 1280px; padding: 0 1.5em; color: #1a1a1a; }
h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.15em; margin: 2em 0 .5em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15em 1.2em; margin: .5em 0; }
dt { color: #666; } dd { margin: 0; overflow-wrap: anywhere; }
.classes { max-height: 26em; overflow: auto; display: inline-block; border: 1px solid #ddd; }
table { border-collapse: collapse; font-size: .93em; }
td, th { padding: .15em .9em; text-align: right; white-space: nowrap; }
th { position: sticky; top: 0; background: #f4f4f4; font-weight: 600; }
td:nth-child(2), th:nth-child(2), td.bars { text-align: left; }
.key { display: inline-block; width: .8em; height: .8em; margin-right: .5em; border-radius: 2px; }
.share { display: inline-block; height: .7em; background: #8fb3d9; }
.item { border-top: 1px solid #ddd; padding: .7em 0; }
.item p { margin: 0 0 .4em; font-size: .87em; color: #444; overflow-wrap: anywhere; }
.panels { display: flex; gap: .8em; flex-wrap: wrap; }
figure { margin: 0; flex: 1 1 260px; max-width: 480px; } figcaption { font-size: .8em; color: #666; }
.alone { display: flex; flex-wrap: wrap; gap: 1em; } .alone .item { border: 0; padding: 0; width: 176px; }
svg { width: 100%; height: auto; display: block; background: #eee; } svg.small image { image-rendering: pixelated; }
svg text { font-family: sans-serif; font-weight: 600; }
.bar { display: inline-block; width: 8em; height: .7em; margin: 0 .3em; }
"""


def browse(
    lmdb_path: str | Path, path: str | Path, dataset: DatasetRow, split: str, provenance: Mapping[str, Any]
) -> None:
    """Write the page of a packed split as a self-contained file.

    Parameters
    ----------
    lmdb_path : `{split}.lmdb`, its manifest beside it, and its targets where the data set has more than labels
    path : the page
    dataset : row of datasets.tsv
    split : name of the split
    provenance : what made the page; `flow.job` gives it
    """
    store = Store(lmdb_path)
    targets = TargetStore(lmdb_path) if dataset["task"] != ["classification"] else None
    found, names = count(store, targets), _names(store, targets)
    sources = store.manifest()["source"]
    places = spread(len(store), SHOWN)
    sample = [_item(store, targets, index, names, dataset, sources[index]) for index in places]
    parts = [
        f"<h1>{escape(dataset['dataset'])}: {escape(split)}</h1>",
        _facts(store, found, dataset),
        _classes(found, names, dataset.get("ignore")),
        f"<h2>{len(sample)} images{' at even steps' if len(sample) < len(store) else ''}</h2>",
        f'<div class="{"items" if targets else "alone"}">{"".join(sample)}</div>',
        f"<h2>How this page was made</h2>{markup.terms(provenance)}",
    ]
    markup.write(path, f"{dataset['dataset']}: {split}", "".join(parts), _STYLE)


def _names(store: Store, targets: TargetStore | None) -> list[str]:
    return targets.class_names if targets and targets.class_names else store.class_names


def _facts(store: Store, found: Counts, dataset: DatasetRow) -> str:
    """What the split is, in a few lines."""
    facts = {"images": f"{len(store):,}", "tasks": ", ".join(dataset["task"]), "sizes": _sizes(found.sizes)}
    if found.depth:
        none = f"; {found.unknown:.1%} of the pixels have none" if found.unknown else ""
        facts["distances"] = "{:.3g} to {:.3g} m".format(*found.depth) + none
    if found.objects or found.empty:
        each = sum(found.objects.values()) / found.n
        facts["objects"] = f"{each:.1f} per image; images without any: {found.empty:,}; crowds: {found.crowds:,}"
    if found.n < len(store):
        facts["counted on"] = f"{found.n:,} images at even steps (labels: all)"
    facts |= {key: dataset[key] for key in ("version", "licence", "source", "home") if dataset.get(key)}
    return markup.terms(facts)


def _sizes(sizes: Counter) -> str:
    """The most frequent sizes of images, width x height."""
    if len(sizes) == 1:
        return "{} x {} pixels".format(*next(iter(sizes)))
    most = ", ".join(f"{width} x {height} ({times:,})" for (width, height), times in sizes.most_common(3))
    return f"{most}{f' and {len(sizes) - 3:,} more' if len(sizes) > 3 else ''} pixels"


def _classes(found: Counts, names: Sequence[str], ignore: int | None) -> str:
    """A row for each class with how often it occurs."""
    columns = {"images": found.images, "objects": found.objects, "pixels": found.pixels}
    columns = {title: values for title, values in columns.items() if values}
    if not columns:
        return ""
    labels = sorted(set(range(len(names))).union(*columns.values()))
    heads = "".join(f"<th>{title}</th><th></th>" for title in columns)
    rows = "".join(_row(label, names, columns, ignore) for label in labels)
    return f'<h2>Classes</h2><div class="classes"><table><tr><th></th><th>class</th>{heads}</tr>{rows}</table></div>'


def _row(label: int, names: Sequence[str], columns: Mapping[str, Counter], ignore: int | None) -> str:
    name = "counts nowhere" if label == ignore else names[label] if label < len(names) else ""
    key = "" if label == ignore else f'<span class="key" style="background: {drawing.css(label)}"></span>'
    cells = ""
    for title, values in columns.items():
        share = values[label] / max(values.total(), 1)
        told = f"{share:.2%}" if title == "pixels" else f"{values[label]:,}"
        bar = f'<span class="share" style="width: {6 * values[label] / max(values.values()):.2f}em"></span>'
        cells += f'<td>{told}</td><td class="bars">{bar}</td>'
    return f"<tr><td>{label}</td><td>{key}{escape(name)}</td>{cells}</tr>"


def _item(
    store: Store,
    targets: TargetStore | None,
    index: int,
    names: Sequence[str],
    dataset: DatasetRow,
    source: str,
) -> str:
    """One image with its targets side by side."""
    image = np.asarray(store.image(index))
    panels = {"image": drawing.picture(image)}
    for kind in targets.kinds if targets else ():
        panels[_TITLES[kind]] = _panel(kind, image, targets, index, names, dataset)
    label = int(store.labels[index])
    said = [f"id {store.ids[index]}"] + ([f"class {escape(store.class_names[label])}"] if label >= 0 else [])
    said += [f"{image.shape[1]} x {image.shape[0]}"] if targets else []
    bar = drawing.scale(dataset["depth_min"], dataset["depth_max"]) if "distance" in panels else ""
    said_below = {title: f"{title} {bar * (title == 'distance')}".strip() for title in panels}
    captions = {title: f"<figcaption>{text}</figcaption>" * bool(targets) for title, text in said_below.items()}
    figures = "".join(f"<figure>{panel}{captions[title]}</figure>" for title, panel in panels.items())
    return f'<div class="item"><p>{", ".join(said)}<br>{escape(source)}</p><div class="panels">{figures}</div></div>'


def _panel(
    kind: str, image: np.ndarray, targets: TargetStore, index: int, names: Sequence[str], dataset: DatasetRow
) -> str:
    if kind == "label_map":
        return drawing.label_map(image, targets.label_map(index), dataset.get("ignore"))
    if kind == "depth":
        return drawing.depth_map(targets.depth(index), dataset["depth_min"], dataset["depth_max"])
    return drawing.objects(image, targets.objects(index), targets.masks(index), names)
