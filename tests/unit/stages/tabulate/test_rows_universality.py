"""Rows of figures 1 to 6 and 13 to 15: who is shown, means and intervals over models, contrasts by hand."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mettle import data, tables
from mettle.data.item import Item, png
from mettle.plan.figures import FIGURES
from mettle.stages import tabulate
from mettle.stages.tabulate import universality
from representations import write

KEYS = {"dataset": "d", "images": "natural", "measure": "cka", "norm": None, "eps": 0.0}
NONE = {"lo": None, "hi": None, "note": None}
SEED = {"seed": 0}


def cells(difference, pairs=10, eps=0.0, seed=0):
    """Subgroup rows of pairs of models whose agree score is larger by `difference`, on average."""
    rng = np.random.default_rng(seed)
    rows = []
    for pair in range(pairs):
        base = rng.uniform(0.2, 0.6)
        for group in ("agree", "disagree", "agree_matched", "disagree_matched"):
            value = base + (difference if group.startswith("agree") else 0) + 0.01 * rng.normal()
            rows.append(
                KEYS
                | {"subgroup": group, "model": f"m{pair}", "model_b": "m", "eps": eps, "method": "cka"}
                | {"n": 50, "value": value, "lo": None, "hi": None, "note": None}
            )
    return pd.DataFrame(rows)


def test_contrast_equals_all_sign_flips_by_hand():
    frame = cells(0.005, pairs=8)
    row = next(r for r in universality.contrast(frame, 9999, 0) if r["subgroup"] == "agree - disagree")
    wide = frame.pivot(index="model", columns="subgroup", values="value")
    difference = (wide["agree"] - wide["disagree"]).to_numpy()
    signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1)
    extreme = np.abs((signs * difference[:, None]).mean(0)) >= abs(difference.mean()) - 1e-12
    assert row["value"] == pytest.approx(difference.mean())
    assert row["p"] == pytest.approx(extreme.mean(), abs=1e-9)
    assert row["n"] == 8
    assert row["lo"] < row["value"] < row["hi"]


def test_contrast_finds_a_difference_and_finds_none_where_there_is_none():
    strong = universality.contrast(cells(0.2, pairs=28), 9999, 0)
    none = universality.contrast(cells(0.0, pairs=28), 9999, 0)
    assert all(row["p"] < 0.001 for row in strong)
    assert all(row["p"] > 0.01 for row in none)


def test_contrast_of_one_pair_is_undefined_and_says_so():
    rows = universality.contrast(cells(0.2, pairs=1), 99, 0)
    assert all(row["value"] is None and row["p"] is None for row in rows)
    assert rows[0]["note"] == "a test needs two pairs of models or more"


def test_contrast_says_that_scores_rest_on_few_images():
    frame = cells(0.2)
    frame["note"] = [None] * 3 + ["rests on few"] + [None] * (len(frame) - 4)  # one pair's `disagree_matched`
    assert frame.loc[3, "subgroup"] == "disagree_matched"
    notes = {row["subgroup"]: row["note"] for row in universality.contrast(frame, 99, 0)}
    assert notes == {
        "agree - disagree": None,
        "agree_matched - disagree_matched": "of some pairs a score rests on few",
    }


def test_contrasts_exist_for_every_split():
    frame = cells(0.1)
    names = {
        "agree": "right",
        "disagree": "wrong",
        "agree_matched": "right_matched",
        "disagree_matched": "wrong_matched",
    }
    rows = universality.contrast(frame.assign(subgroup=frame["subgroup"].map(names)), 99, 0)
    assert [row["subgroup"] for row in rows] == ["right - wrong", "right_matched - wrong_matched"]


def write_and_read(tmp_path, figure, rows):
    table = FIGURES[figure].table
    tables.write(tmp_path / "t.parquet", table, rows)
    return tables.read(tmp_path / "t.parquet", table)


def test_figure5_rows_fit_the_table_and_hold_only_shown_models(tmp_path):
    frame = pd.concat([cells(0.1, eps=0.0), cells(0.1, eps=1.0, seed=1)], ignore_index=True)
    shown = ["m", *[f"m{i}" for i in range(6)]]
    rows = universality.figure5(frame, SEED | {"models": shown, "resamples": 99}, [])
    back = write_and_read(tmp_path, "fig5", rows)
    pairs = back[back["model"] != "all"]
    assert set(pairs["model"]) == set(shown) - {"m"}
    assert len(pairs) == 2 * 6 * 4
    assert len(back) == len(pairs) + 2 * 2
    assert pairs["p"].isna().all()


def scores(models="abcd", images="natural", eps=0.0, floor=0.1, measure="cka", dataset="d"):
    """Rows of the compare table; the score of a pair is the sum of its models' places over ten."""
    rows = []
    for i, model in enumerate(models):
        for j, other in enumerate(models[:i] if images == "natural" else models):
            if model != other:
                where = images if images == "natural" else f"inverted-{model}"
                row = KEYS | NONE | {"dataset": dataset, "images": where, "model": model, "model_b": other, "eps": eps}
                value = {"n": 50, "value": (i + j) / 10, "baseline": 0.0, "floor": floor, "measure": measure}
                value |= {"p": 0.05, "calibrated": 0.5}
                rows.append(row | value | {"method": "cka"})
    return pd.DataFrame(rows)


def test_means_are_over_shown_pairs_per_data_set_eps_and_measure(tmp_path):
    cells = pd.concat([scores(), scores(eps=1.0), scores("abc", dataset="e")], ignore_index=True)
    back = write_and_read(tmp_path, "fig2", universality.similarity(cells, SEED | {"models": list("abd")}, []))
    means = back[back["model"] == "all"]
    assert means[["dataset", "eps", "n"]].to_numpy().tolist() == [["d", 0.0, 3], ["d", 1.0, 3], ["e", 0.0, 1]]
    assert means["value"].tolist() == pytest.approx([(0.1 + 0.3 + 0.4) / 3] * 2 + [0.1])
    assert (means["lo"] < means["value"]).tolist()[:2] == [True, True]
    assert means["lo"].isna().tolist() == [False, False, True], "one pair has no interval"
    assert means["floor"].tolist() == pytest.approx([0.1] * 3)
    assert len(back) == 3 + 3 + 1 + 3


def test_scores_on_inverted_images_have_one_mean_over_both_directions(tmp_path):
    cells = scores("abc", images="inverted", floor=None)
    back = write_and_read(tmp_path, "fig3", universality.similarity(cells, SEED | {"models": list("abc")}, []))
    mean = back[back["model"] == "all"]
    assert mean["images"].tolist() == ["inverted"] and mean["n"].tolist() == [6] and mean["floor"].isna().all()


def test_a_pair_without_a_value_counts_in_no_mean_and_is_said(tmp_path):
    cells = scores("abc")
    cells["value"] = cells["value"].astype(object).where(cells.index != 0, None)
    mean = write_and_read(tmp_path, "fig2", universality.similarity(cells, SEED | {"models": list("abc")}, []))
    mean = mean[mean["model"] == "all"].iloc[0]
    assert mean["n"] == 2 and mean["note"] == "1 pairs have no value"


def test_neighbours_are_told_by_measure(tmp_path):
    cells = pd.concat([scores(measure="j10"), scores(measure="j50")], ignore_index=True)
    options = SEED | {"models": list("abcd"), "k": {"j10": 10, "j50": 50}}
    back = write_and_read(tmp_path, "fig14", universality.by_k(cells, options, []))
    assert back.groupby("measure")["k"].unique().map(list).to_dict() == {"j10": [10], "j50": [50]}


def agreeing(files, images="natural"):
    """Rows of the agree table of all pairs of represent files."""
    from mettle.stages import compare

    first = [one for place, one in enumerate(files) for _ in files[:place]]
    second = [other for place, _ in enumerate(files) for other in files[:place]]
    return pd.DataFrame(compare.agreements(first, second, {"dataset": "d", "norm": None, "eps": 0.0}))


def test_ambiguity_and_discrepancy_are_of_the_whole_group(tmp_path):
    folder = tmp_path / "represent" / "d"
    files = [write(folder, name, disagree=n, seed=n) for name, n in (("a", 0), ("b", 30), ("c", 50))]
    rows = universality.agreement(agreeing(files), SEED | {"models": list("abc")}, [str(path) for path in files])
    back = write_and_read(tmp_path, "fig4", rows)
    group = back[back["model"] == "all"].set_index("measure")
    assert group.loc["ambiguity", "value"] == pytest.approx(50 / 120)
    assert group.loc["discrepancy", "value"] == pytest.approx(50 / 120)
    assert group.loc["disagreement", "value"] == pytest.approx((30 + 50 + 20) / 3 / 120)
    assert group.loc["agreement_upper", "value"] > group.loc["agreement_lower", "value"]


def test_ambiguity_is_counted_on_the_same_images_only(tmp_path):
    folder = tmp_path / "represent" / "d"
    files = [write(folder, name, seed=n) for n, name in enumerate("ab")]
    rows = agreeing(files)
    options = SEED | {"models": list("ab")}
    order = np.random.default_rng(0).permutation(120)
    write(folder, "b", id=order, label=order % 4, prediction=np.where(order < 40, (order + 1) % 4, order % 4))
    found = {row["measure"]: row["value"] for row in universality.agreement(rows, options, map(str, files))}
    assert found["ambiguity"] == 0, "rows are matched by id"
    write(folder, "b", id=np.arange(120) + 60)
    with pytest.raises(ValueError, match=r"a\.parquet and .*b\.parquet hold different images$"):
        universality.agreement(rows, options, list(map(str, files)))
    write(folder, "b", id=np.minimum(np.arange(120), 118))
    with pytest.raises(ValueError, match=r"b\.parquet holds image 118 more than once$"):
        universality.agreement(rows, options, list(map(str, files)))


def test_probes_of_one_model_count_in_no_mean(tmp_path):
    rows = [
        KEYS | NONE | {"images": "natural", "model": a, "model_b": b, "measure": measure, "n": 9, "value": value}
        for a, b, measure, value in [("a", "a", "probe", 1.0), ("b", "a", "probe", 0.5), ("b", "a", "pretrained", 0.3)]
    ]
    found = universality.figure6(pd.DataFrame(rows), SEED | {"models": list("ab")}, [])
    back = write_and_read(tmp_path, "fig6", found)
    assert back[back["model"] == "all"].set_index("measure")["value"].to_dict() == {"probe": 0.5, "pretrained": 0.3}


def picture(level, side=8):
    return png(np.full((side, side + 4, 3), level, np.uint8))


def test_figure_1_shows_seed_target_and_inverted_image_of_each_target(tmp_path):
    clean = [Item(picture(10 * i), i % 2, str(i % 2), f"image {i}") for i in range(6)]
    data.write(tmp_path / "clean.lmdb", tmp_path / "clean.parquet", clean)
    pairs = pd.DataFrame({"id": [1, 3, 4], "seed_id": [0, 2, 5]})
    more = {"seed_id": 0, "start_loss": 1.0, "loss": 0.25, "step": 9}
    made = [Item(png(np.full((8, 8, 3), 200, np.uint8)), 0, "0", "made", id=i, more=more) for i in (1, 3, 4)]
    data.write(tmp_path / "m.lmdb", tmp_path / "m.parquet", made, table=tables.INVERTED)
    options = SEED | {"dataset": "d", "examples": 2, "rows": {"my.net_v2": {"norm": "l2", "eps": 3.0}}}
    options |= {"labels": {"my.net_v2": "my net"}}
    rows = universality.figure1(pairs, options, [tmp_path / "clean.lmdb", tmp_path / "m.lmdb"])
    back = write_and_read(tmp_path, "fig1", rows)
    assert back[["measure", "id"]].to_numpy().tolist() == [
        ["seed", 1],
        ["target", 1],
        ["seed", 4],
        ["target", 4],
        ["inverted", 1],
        ["inverted", 4],
    ]
    shown = [np.asarray(Image.open(io.BytesIO(cell))) for cell in back["image"]]
    assert [image.shape for image in shown] == [(8, 8, 3)] * 6
    assert [int(image[0, 0, 0]) for image in shown] == [0, 10, 50, 40, 200, 200]
    assert back["value"].tolist()[-1] == 0.25
    assert back["model"].tolist() == ["natural"] * 4 + ["my.net_v2"] * 2
    assert back["label"].tolist() == ["seed", "target"] * 2 + ["my net"] * 2


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_names_a_function_of_its_rows_and_a_table_of_its_own(figure):
    assert callable(tabulate.rows_of(figure)) and FIGURES[figure].table.name == figure
