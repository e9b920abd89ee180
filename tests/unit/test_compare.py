"""Compare stage: pairs joined by id, subgroups scored from scratch, contrasts tested."""

import numpy as np
import pandas as pd
import pytest

from mettle import compare, measures, tables

CKA = {"method": "cka"}
JACCARD = {"method": "jaccard", "k": 5}
KEYS = {"dataset": "d", "images": "natural", "measure": "cka", "norm": None, "eps": 0.0}


def write(folder, name, n=120, width=6, seed=0, disagree=40, ids=None, features=None):
    """A represent file; predictions differ from class `row mod 4` on the first `disagree` rows by one class."""
    rng = np.random.default_rng(seed)
    latent = np.random.default_rng(99).normal(size=(n, width))
    features = latent + 0.5 * rng.normal(size=(n, width)) if features is None else features
    label = np.arange(n) % 4
    prediction = np.where(np.arange(n) < disagree, (label + 1) % 4, label)
    columns = {
        "dataset": ["d"] * n,
        "images": ["natural"] * n,
        "model": [name] * n,
        "id": np.arange(n) if ids is None else ids,
        "label": label,
        "prediction": prediction,
        "logits": np.eye(4)[prediction],
        "features": features,
    }
    path = folder / f"{name}.parquet"
    tables.write(path, tables.REPRESENT, columns)
    return path


def subgroup_rows(tmp_path, options, **second):
    a, b = write(tmp_path, "a", seed=1, disagree=0), write(tmp_path, "b", seed=2, **second)
    rows = compare.subgroups(a, [b], KEYS, options, draws=4, seed=0)
    tables.write(tmp_path / "out.parquet", tables.SUBGROUPS, rows)
    return {row["subgroup"]: row for row in rows}, compare.load(a), compare.load(b)


def test_similarities_equal_the_measure_and_fit_the_table(tmp_path):
    a, b, c = (write(tmp_path, name, seed=i, width=6) for i, name in enumerate("abc"))
    rows = compare.similarities(a, [b, c], KEYS, CKA)
    tables.write(tmp_path / "out.parquet", tables.COMPARE, rows)
    assert [(row["model"], row["model_b"], row["n"]) for row in rows] == [("a", "b", 120), ("a", "c", 120)]
    expected = measures.compare("cka", compare.load(a).features, compare.load(c).features)
    assert rows[1]["value"] == pytest.approx(expected, abs=1e-12)


def test_a_model_without_models_above_it_has_an_empty_cell(tmp_path):
    rows = compare.similarities(write(tmp_path, "a"), [], KEYS, CKA)
    tables.write(tmp_path / "out.parquet", tables.COMPARE, rows)
    assert len(tables.read(tmp_path / "out.parquet", tables.COMPARE)) == 0


def test_images_are_joined_by_id_not_by_position(tmp_path):
    features = np.random.default_rng(0).normal(size=(120, 6))
    order = np.random.default_rng(1).permutation(120)
    a = write(tmp_path, "a", features=features)
    b = write(tmp_path, "b", features=features[order], ids=order)
    assert compare.similarities(a, [b], KEYS, CKA)[0]["value"] == pytest.approx(1, abs=1e-6)


def test_pairs_with_different_images_are_refused(tmp_path):
    a, b = write(tmp_path, "a"), write(tmp_path, "b", ids=np.arange(120) + 7)
    with pytest.raises(ValueError, match=r"a and b hold different images: 120 and 120, 113 in common"):
        compare.similarities(a, [b], KEYS, CKA)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.ones((120, 6)), r"b.*constant"),
        (np.full((120, 6), np.nan), r"b.*NaN"),
    ],
)
def test_unfit_features_are_refused_by_the_models_name(tmp_path, features, message):
    a, b = write(tmp_path, "a"), write(tmp_path, "b", features=features)
    with pytest.raises(ValueError, match=message):
        compare.similarities(a, [b], KEYS, CKA)


def test_fewer_images_than_k_are_refused(tmp_path):
    a, b = write(tmp_path, "a"), write(tmp_path, "b", seed=1)
    with pytest.raises(ValueError, match=r"jaccard of a: at least 201 images are needed, got 120"):
        compare.similarities(a, [b], KEYS, JACCARD | {"k": 200})


@pytest.mark.parametrize("options", [CKA, JACCARD, {"method": "procrustes"}], ids=lambda o: o["method"])
def test_subgroups_are_scored_from_scratch(tmp_path, options):
    """The original's accumulator carried sums from one subgroup into the next."""
    rows, a, b = subgroup_rows(tmp_path, options)
    method, own = options["method"], {key: value for key, value in options.items() if key != "method"}
    for name, chosen in (("agree", slice(40, None)), ("disagree", slice(None, 40))):
        expected = measures.compare(method, a.features[chosen], b.features[chosen], **own)
        assert rows[name]["value"] == pytest.approx(expected, abs=1e-12)
    assert (rows["agree"]["n"], rows["disagree"]["n"]) == (80, 40)


def test_matched_groups_have_one_size_and_are_drawn_from_their_group(tmp_path):
    rows, _, _ = subgroup_rows(tmp_path, CKA)
    assert rows["agree_matched"]["n"] == rows["disagree_matched"]["n"] == 40
    assert rows["disagree_matched"]["value"] == rows["disagree"]["value"]
    matched = rows["agree_matched"]
    assert matched["lo"] < matched["value"] < matched["hi"]
    assert matched["value"] != rows["agree"]["value"]
    again, _, _ = subgroup_rows(tmp_path, CKA)
    assert again["agree_matched"] == matched


def test_matching_works_when_disagreement_is_the_larger_group(tmp_path):
    rows, _, _ = subgroup_rows(tmp_path, CKA, disagree=90)
    assert (rows["agree_matched"]["n"], rows["disagree_matched"]["n"]) == (30, 30)
    assert rows["agree_matched"]["value"] == rows["agree"]["value"]
    assert rows["disagree_matched"]["value"] != rows["disagree"]["value"]


def test_a_group_too_small_for_the_measure_says_so(tmp_path):
    rows, _, _ = subgroup_rows(tmp_path, JACCARD, disagree=3)
    assert rows["disagree"]["value"] is None
    assert rows["disagree"]["note"] == "3 images in the group, jaccard needs 6"
    assert rows["agree"]["value"] is not None
    assert rows["agree_matched"]["value"] is None
    assert rows["agree_matched"]["note"] == "3 images in the smaller group, jaccard needs 6"


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
    row = next(r for r in compare.contrast(frame, 9999, 0) if r["subgroup"] == "agree - disagree")
    wide = frame.pivot(index="model", columns="subgroup", values="value")
    difference = (wide["agree"] - wide["disagree"]).to_numpy()
    signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1)
    extreme = np.abs((signs * difference[:, None]).mean(0)) >= abs(difference.mean()) - 1e-12
    assert row["value"] == pytest.approx(difference.mean())
    assert row["p"] == pytest.approx(extreme.mean(), abs=1e-9)
    assert row["n"] == 8
    assert row["lo"] < row["value"] < row["hi"]


def test_contrast_finds_a_difference_and_finds_none_where_there_is_none():
    strong = compare.contrast(cells(0.2, pairs=28), 9999, 0)
    none = compare.contrast(cells(0.0, pairs=28), 9999, 0)
    assert all(row["p"] < 0.001 for row in strong)
    assert all(row["p"] > 0.01 for row in none)


def test_contrast_of_one_pair_is_undefined_and_says_so():
    rows = compare.contrast(cells(0.2, pairs=1), 99, 0)
    assert all(row["value"] is None and row["p"] is None for row in rows)
    assert rows[0]["note"] == "a test needs two pairs of models or more"


def test_figure5_rows_fit_the_table_and_hold_only_shown_models(tmp_path):
    frame = pd.concat([cells(0.1, eps=0.0), cells(0.1, eps=1.0, seed=1)], ignore_index=True)
    shown = ["m", *[f"m{i}" for i in range(6)]]
    table = compare.figure5(frame, shown, 99, 0)
    tables.write(tmp_path / "fig5.parquet", tables.FIG5, table)
    back = tables.read(tmp_path / "fig5.parquet", tables.FIG5)
    pairs = back[back["model"] != "all"]
    assert set(pairs["model"]) == set(shown) - {"m"}
    assert len(pairs) == 2 * 6 * 4
    assert len(back) == len(pairs) + 2 * 2
    assert pairs["p"].isna().all()
