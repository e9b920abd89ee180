"""The card of a model: everything that was measured of it, on one page."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from mettle import markup
from mettle.stages.cards import charts, examples
from mettle.units import ball_text

Row = dict[str, Any]
_STYLE = (Path(__file__).parent / "card.css").read_text(encoding="utf-8")
_DASH = "–"
_NOTHING = "Nothing has been made yet."
_FACTS = {
    "model": "name",
    "arch": "architecture",
    "dataset": "data set",
    "recipe": "recipe",
    "base": "base",
    "transfer": "transfer",
    "seed": "seed",
    "source": "source",
    "sha256": "SHA-256 of the source",
    "licence": "licence",
    "reference": "reference",
}


def write(
    path: str | Path, scores: pd.DataFrame, files: Mapping[str, Sequence[str]], told: Row, provenance: Row
) -> None:
    """Write the card of a model.

    Parameters
    ----------
    path : the page
    scores : rows of the table `scores` of the model
    files : existing files with images, by stage: `pictures`, `perturb`, `invert`, `corrupt`, `examples`; and `attack`
    told : `row` and `sheet` of the model, its `label` and `task`; `labels` of all models; `built`, models that stand on
        it; `missing`, files that figures ask for and that do not exist; and `results`, their folder
    provenance : what made the page; `flow.job` gives it
    """
    row = told["row"]
    lead = f"{escape(row['arch'])}, {told['task']}, {escape(row['dataset'])}; trained against {_trained(row)}."
    parts = [f'<h1>{escape(told["label"])}</h1><p class="lead">{lead}</p>', _facts(told)]
    for title, section in _SECTIONS.items():
        if body := section(scores, files, told):
            parts.append(f"<h2>{title}</h2>{body}")
    if len(scores) == 0:
        parts.append(f"<h2>Scores</h2><p>{_NOTHING}</p>")
    parts += [_missing(told["missing"]), f"<h2>How this page was made</h2>{markup.terms(_short(provenance))}"]
    markup.write(path, told["label"], "".join(parts), _STYLE)


def _short(provenance: Row) -> Row:
    """Without the params of the job, which the page itself says."""
    return {key: value for key, value in provenance.items() if key != "params"}


def _trained(row: Row) -> str:
    return "no attack" if row["threat"] == "none" else f"attacks of {ball_text(row['threat'], row['eps'])}"


def _facts(told: Row) -> str:
    row = told["row"]
    facts = {words: str(row[key]) for key, words in _FACTS.items() if key in row} | {"sheet": told["sheet"]}
    weights = f'<p>Weights, input and citation: <a href="{escape(row["model"])}.md">{escape(row["model"])}.md</a> '
    return markup.terms(facts) + f"{weights}(<code>snakemake --cores 1 {_place(told, row['model'])}</code>).</p>"


def _place(told: Row, model: str) -> str:
    return f"results/cards/{model}.md"


# Scores


def _answers(scores: pd.DataFrame, files: Mapping[str, Sequence[str]], told: Row) -> str:
    """A table for each data set and set of images: clean, under every attack, and the worst case."""
    rows = scores[scores["about"].isin(["clean", "attack", "worst_case"])]
    parts = []
    for (dataset, ids), part in rows.groupby(["dataset", "ids"], sort=False):
        parts.append(f"<h3>{escape(dataset)}, {part['n'].iloc[0]:,} images{_other(rows, dataset, ids)}</h3>")
        lines = [_score(row) for row in part.sort_values("about", key=_order, kind="stable").to_dict("records")]
        heads = ["", "", "value", "95 % interval", "published", "note"]
        kept = [k for k in range(len(heads)) if k < 4 or any(cells[k] for cells in lines)]
        parts.append(markup.table([heads[k] for k in kept], [[cells[k] for k in kept] for cells in lines], "scores"))
    return "".join(parts)


def _order(about: pd.Series) -> pd.Series:
    return about.map({"clean": 0, "attack": 1, "worst_case": 2})


def _other(rows: pd.DataFrame, dataset: str, ids: str) -> str:
    """Words where a data set has several sets of images."""
    return f" (set {ids[:6]})" if rows[rows["dataset"] == dataset]["ids"].nunique() > 1 else ""


def _score(row: Row) -> list[str]:
    value, lo, hi, known = (None if pd.isna(row[key]) else row[key] for key in ("value", "lo", "hi", "published"))
    line = "" if value is None or not 0 <= value <= 1 else charts.interval(value, lo, hi, known)
    note = f'<span class="note">{escape(row["note"])}</span>' if row["note"] else ""
    published = "" if known is None else f'<span title="{escape(row["source"])}">{known:.4g}</span>'
    return [_condition(row), line, _number(row, value), _between(lo, hi), published, note]


def _condition(row: Row) -> str:
    if row["about"] == "clean":
        return "clean" if row["measure"] == "accuracy" else escape(f"clean, {row['measure']}")
    ball = ball_text(row["norm"], row["eps"])
    if row["about"] == "worst_case":
        title = escape(f"right under all of: {row['attack']}")
        return f'<b title="{title}">worst case, {ball}</b> of {row["attack"].count(",") + 1} attacks'
    measure = "" if row["measure"] == "accuracy" else f", {row['measure']}"
    return escape(f"{row['attack']}, {ball}{measure}")


def _number(row: Row, value: float | None) -> str:
    """A value that links to the file that it is from."""
    text = _DASH if value is None else f"{value:.4g}"
    return f'<a class="number" href="../{escape(row["file"])}">{text}</a>'


def _between(lo: float | None, hi: float | None) -> str:
    return "" if lo is None or hi is None else f'<span class="number">{lo:.3f} to {hi:.3f}</span>'


def _curves(scores: pd.DataFrame, files: Mapping[str, Sequence[str]], told: Row) -> str:
    """Accuracy by eps where a norm has several, from the worst case of all attacks up to each eps."""
    rows = scores[scores["about"].isin(["attack", "worst_case"]) & (scores["measure"] == "accuracy")]
    clean = scores[(scores["about"] == "clean") & (scores["measure"] == "accuracy")]
    parts = []
    for dataset, part in rows.groupby("dataset", sort=False):
        lines = {}
        for norm, same in part.groupby("norm", sort=False):
            least = same.groupby("eps")["value"].min()
            if len(least) > 1:
                start = clean[clean["dataset"] == dataset]["value"].iloc[0]
                lines[ball_text(norm, 0).removesuffix(" 0")] = [(0.0, start), *zip(least.index, least, strict=True)]
        for name, points in lines.items():
            parts.append(f"<h3>{escape(dataset)}, {name}</h3>{charts.curve({name: points}, 'eps', 'accuracy')}")
    return "".join(parts)


def _corruptions(scores: pd.DataFrame, files: Mapping[str, Sequence[str]], told: Row) -> str:
    """Means over corruptions, then a bar for every corruption, for each data set and set of corruptions."""
    parts = []
    rows = scores[scores["about"] == "corruption"]
    for (dataset, name), part in rows.groupby(["dataset", "attack"], sort=False):
        measure = part["measure"].iloc[0]
        part = part[part["measure"] == measure]
        whole = part[(part["corruption"] == "mean") & part["statistic"].isin(["mpc", "rpc", "mce", "relative_mce"])]
        parts.append(f"<h3>{escape(dataset)}, set {escape(name)}, {escape(measure)}</h3>")
        lines = [[_STATISTICS[row["statistic"]], "", *_valued(row)] for row in whole.to_dict("records")]
        single = part[~part["corruption"].isin(["mean", *_GROUPS]) & part["statistic"].isin(["mpc", "score"])]
        lines += [_of_type(row) for row in single.drop_duplicates("corruption").to_dict("records")]
        parts.append(markup.table(["", "", "value", "95 % interval"], lines, "scores"))
    return "".join(parts)


_STATISTICS = {
    "mpc": "mean performance under corruption (mPC)",
    "rpc": "relative to clean (rPC)",
    "mce": "mean corruption error (mCE), AlexNet is 1",
    "relative_mce": "relative mCE, AlexNet is 1",
}
_GROUPS = ("noise", "blur", "weather", "digital", "without_noise")


def _of_type(row: Row) -> list[str]:
    value = None if pd.isna(row["value"]) else row["value"]
    line = "" if value is None else charts.bar(value)
    return [escape(row["corruption"].replace("_", " ")), line, *_valued(row)]


def _valued(row: Row) -> list[str]:
    value, lo, hi = (None if pd.isna(row[key]) else row[key] for key in ("value", "lo", "hi"))
    return [_number(row, value), _between(lo, hi)]


def _tokens(scores: pd.DataFrame, files: Mapping[str, Sequence[str]], told: Row) -> str:
    rows = scores[scores["about"] == "drift"].to_dict("records")
    lines = [
        [escape(f"{row['attack']}, {ball_text(row['norm'], row['eps'])}: {row['measure']}"), *_valued(row)]
        for row in rows
    ]
    said = "<p>Features of attacked images beside those of clean ones: 1 is the same direction.</p>"
    return said + markup.table(["", "value", "95 % interval"], lines) if lines else ""


def _similar(about: str, text: str) -> Callable[[pd.DataFrame, Mapping, Row], str]:
    """A table of the other models by measure."""

    def section(scores: pd.DataFrame, files: Mapping[str, Sequence[str]], told: Row) -> str:
        rows = scores[scores["about"] == about].dropna(subset=["value"])
        parts = []
        for (dataset, natural), part in rows.assign(natural=rows["images"] == "natural").groupby(
            ["dataset", "natural"], sort=False
        ):
            wide = part.pivot_table(index="model_b", columns="measure", values="value", sort=False)
            wide = wide.sort_values(wide.columns[0], ascending=False)
            ends = {name: (wide[name].min(), wide[name].max()) for name in wide}
            lines = [
                [
                    escape(told["labels"].get(other, other)),
                    *(charts.heat(_known(row[name]), *ends[name]) for name in wide),
                ]
                for other, row in wide.iterrows()
            ]
            images = "natural images" if natural else "inverted images"
            parts.append(f"<h3>{escape(dataset)}, {images}</h3>{markup.table(['', *map(escape, wide)], lines)}")
        return f"<p>{text}</p>{''.join(parts)}" if parts else ""

    return section


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _built(scores: pd.DataFrame, files: Mapping[str, Sequence[str]], told: Row) -> str:
    links = [f'<li><a href="{escape(name)}.html">{escape(told["labels"][name])}</a></li>' for name in told["built"]]
    return f"<ul>{''.join(links)}</ul>" if links else ""


# Images


def _images(scores: pd.DataFrame, files: Mapping[str, Sequence[str]], told: Row) -> str:
    tables_of = {Path(path).parts[-3:]: path for path in files.get("attack", [])}
    parts = []
    for path in files.get("invert", []):
        parts.append(f"<h3>Inverted, {escape(Path(path).parts[-2])}</h3>{examples.inverted(path)}")
    for path in files.get("perturb", []):
        name = f"{Path(path).parts[-3]}, {Path(path).stem}"
        parts.append(
            f"<h3>Attacked, {escape(name)}</h3>{examples.attacked(path, tables_of.get(Path(path).parts[-3:]))}"
        )
    for path in files.get("pictures", []):
        parts.append(
            f"<h3>Answers, {escape(Path(path).parts[-3])}, {escape(Path(path).stem)}</h3>{examples.pictures(path)}"
        )
    if told["task"] == "classification":
        for path in files.get("examples", []):
            dataset, name = Path(path).parts[-3:-1]
            answers = [one for one in files["corrupt"] if Path(one).parts[-3] == dataset]
            parts.append(f"<h3>Corrupted, {escape(dataset)}, {escape(name)}</h3>{examples.corrupted(path, answers)}")
    return "".join(parts)


def _cell(path: str) -> str:
    """Data set and attack of a file."""
    return escape(f"{Path(path).parts[-3]}, {Path(path).stem}")


def _missing(paths: Sequence[str]) -> str:
    """What figures ask for and does not exist, with the command that makes it."""
    if not paths:
        return ""
    shown = "\n".join(escape(f"snakemake --cores 2 {path}") for path in paths[:_LISTED])
    more = f"<p>And {len(paths) - _LISTED:,} more files.</p>" if len(paths) > _LISTED else ""
    said = "Files that figures of the configuration ask for. For all at once, make this page with"
    option = "<code>--config cards='{complete: true}'</code>"
    return f"<h2>Not made yet</h2><p>{said} {option}.</p><pre><code>{shown}</code></pre>{more}"


_LISTED = 12
_SECTIONS: dict[str, Callable[[pd.DataFrame, Mapping[str, Sequence[str]], Row], str]] = {
    "Clean and attacked": _answers,
    "By eps": _curves,
    "Corruptions": _corruptions,
    "Robustness tokens": _tokens,
    "Similarity to other models": _similar(
        "similarity",
        "Values as measured: for distances, lower is more similar. Colours run from the lowest to the highest.",
    ),
    "Agreement with other models": _similar("agreement", "Functional similarity on the same images."),
    "Models that stand on it": _built,
    "Examples": _images,
}
