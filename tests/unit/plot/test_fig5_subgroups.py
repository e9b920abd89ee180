"""Figure 5: what is drawn is what the table holds."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from mettle import tables
from mettle.plot import fig5_subgroups, style
from mettle.tabulate import universality


def table(tmp_path, methods=("cka", "procrustes", "rtd", "jaccard"), missing=False):
    rng = np.random.default_rng(0)
    rows = []
    for method in methods:
        for eps in (0.0, 0.5, 1.0):
            for pair in range(6):
                for group in ("agree", "agree_matched", "disagree", "disagree_matched"):
                    value = rng.uniform(0.2, 0.9) - (0.1 if group.startswith("dis") else 0)
                    gone = missing and group.startswith("dis") and eps == 0
                    rows.append(
                        {"dataset": "d", "images": "natural", "subgroup": group, "model": f"m{pair}", "model_b": "n"}
                        | {"norm": None, "eps": eps, "measure": method, "method": method, "n": 60}
                        | {"value": None if gone else value, "lo": None, "hi": None}
                        | {"note": "too few" if gone else None}
                    )
    options = {"models": [f"m{i}" for i in range(6)] + ["n"], "resamples": 99, "seed": 0}
    whole = universality.figure5(pd.DataFrame(rows, dtype=object), options, [])
    tables.write(tmp_path / "fig5.parquet", tables.FIG5, whole)
    return tables.read(tmp_path / "fig5.parquet", tables.FIG5)


def test_four_panels_with_all_pairs_and_levels(tmp_path):
    figure = fig5_subgroups.draw(table(tmp_path))
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[0] == "CKA" and "RTD" in titles[2] and len(titles) == 4
    for axis in figure.axes:
        assert [tick.get_text() for tick in axis.get_xticklabels()] == ["0", "0.5", "1"]
        points = sum(len(c.get_offsets()) for c in axis.collections)
        assert points == 6 * 3 * 3  # pairs, eps, drawn subgroups
    pyplot.close(figure)


def test_distances_are_turned_so_that_up_is_more_alike(tmp_path):
    whole = table(tmp_path, methods=("rtd",))
    figure = fig5_subgroups.draw(whole)
    drawn = np.concatenate([c.get_offsets()[:, 1] for c in figure.axes[0].collections])
    shown = whole[(whole["model"] != "all") & whole["subgroup"].isin(fig5_subgroups.GROUPS)]
    np.testing.assert_allclose(np.sort(drawn), np.sort(-shown["value"].astype(float)))
    pyplot.close(figure)


def test_missing_values_are_left_out_and_marked(tmp_path):
    figure = fig5_subgroups.draw(table(tmp_path, methods=("cka",), missing=True))
    axis = figure.axes[0]
    assert axis.texts[0].get_text() == "–"
    assert sum(len(c.get_offsets()) for c in axis.collections) == 6 * (2 + 3 + 3)
    pyplot.close(figure)


@pytest.mark.parametrize(("p", "mark"), [(0.0001, "***"), (0.005, "**"), (0.03, "*"), (0.2, "n.s.")])
def test_marks_of_p_values(p, mark):
    assert fig5_subgroups._stars(pd.Series([p], dtype="Float64")) == mark


def test_same_table_same_bytes(tmp_path):
    whole = table(tmp_path)
    for name in ("a", "b"):
        style.save(fig5_subgroups.draw(whole), tmp_path / f"{name}.pdf", tmp_path / f"{name}.png")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
