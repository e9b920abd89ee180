"""All scores of a model from its files: clean, under attacks, in the worst case, beside published values, of pairs."""

import numpy as np
import pandas as pd
import pytest

from mettle import tables
from mettle.stages.cards.scores import scores_of

CLEAN = np.array([1, 1, 1, 1, 0, 1, 1, 1], bool)
PGD = np.array([1, 0, 1, 1, 0, 1, 0, 1], bool)
FAB = np.array([1, 1, 0, 1, 1, 1, 0, 0], bool)


def frame(files, told):
    return pd.DataFrame(scores_of(files, told))


def test_clean_once_and_every_attack(results, told):
    files = [results("net", "pgd", CLEAN, PGD), results("net", "aa", CLEAN, FAB, eps=4 / 255)]
    found = frame({"attack": files}, told).set_index("about")
    assert found.loc["clean", "value"] == CLEAN.mean() and found.loc["clean", "n"] == 8
    assert list(found.loc["attack", "value"]) == [PGD.mean(), FAB.mean()]
    assert found.loc["clean", "lo"] < CLEAN.mean() < found.loc["clean", "hi"]
    assert list(found.loc["attack", "file"]) == ["attack/ten/net/pgd.parquet", "attack/ten/net/aa.parquet"]


def test_the_worst_case_is_right_clean_and_under_every_attack_up_to_its_eps(results, told):
    files = [results("net", "pgd", CLEAN, PGD), results("net", "fab", CLEAN, FAB, eps=4 / 255)]
    files.append(results("net", "l2", CLEAN, ~CLEAN, norm="l2", eps=0.5))
    found = frame({"attack": files}, told)
    worst = found[found["about"] == "worst_case"]
    assert [(row.norm, row.eps) for row in worst.itertuples()] == [("linf", 8 / 255)], (
        "one attack alone is no worst case"
    )
    assert worst["value"].item() == (CLEAN & PGD & FAB).mean() and worst["attack"].item() == "pgd, fab"
    bits = np.unpackbits(np.frombuffer(worst["right"].item(), np.uint8), count=8).astype(bool)
    assert (bits == (CLEAN & PGD & FAB)).all()


def test_a_smaller_eps_does_not_know_of_a_larger_one(results, told):
    files = [
        results("net", "weak", CLEAN, CLEAN, eps=2 / 255),
        results("net", "other", CLEAN, PGD, eps=2 / 255),
        results("net", "strong", CLEAN, np.zeros(8, bool)),
    ]
    found = frame({"attack": files}, told)
    worst = found[found["about"] == "worst_case"].set_index("eps")["value"]
    assert worst[2 / 255] == (CLEAN & PGD).mean() and worst[8 / 255] == 0


def test_a_small_change_that_an_attack_with_a_larger_eps_found_counts(results, told):
    files = [
        results("net", "weak", CLEAN, CLEAN, eps=2 / 255),
        results("net", "other", CLEAN, CLEAN, eps=2 / 255),
        results("net", "nearest", CLEAN, PGD, distance=1 / 255),
    ]
    found = frame({"attack": files}, told)
    worst = found[found["about"] == "worst_case"].set_index("eps")["value"]
    assert worst[2 / 255] == (CLEAN & PGD).mean()


def test_other_images_are_another_row_and_no_part_of_a_worst_case(results, told):
    files = [results("net", "pgd", CLEAN, PGD), results("net", "few", CLEAN[:4], ~CLEAN[:4], ids=range(4))]
    found = frame({"attack": files}, told)
    assert list(found[found["about"] == "clean"]["n"]) == [8, 4]
    assert found[found["about"] == "clean"]["ids"].nunique() == 2
    assert "worst_case" not in set(found["about"])


def test_rows_of_a_file_may_come_in_any_order(results, told):
    order = np.array([5, 2, 7, 0, 1, 3, 6, 4])
    one = frame({"attack": [results("net", "pgd", CLEAN, PGD)]}, told)
    other = frame({"attack": [results("net", "pgd", CLEAN[order], PGD[order], ids=order)]}, told)
    pd.testing.assert_frame_equal(one, other)


def test_published_values_stand_beside_the_same_norm_and_eps_alone(results, told):
    published = {"images": "ten", "clean": 0.9, "autoattack": 0.5, "norm": "linf", "eps": 8 / 255, "source": "paper"}
    told |= {"published": [published, published | {"images": "other", "clean": 0.1}]}
    files = [results("net", "aa", CLEAN, PGD), results("net", "pgd", CLEAN, PGD)]
    files.append(results("net", "aa", CLEAN, PGD, eps=4 / 255, dataset="ten_small"))
    found = frame({"attack": files}, told)
    known = found.dropna(subset=["published"])
    assert list(zip(known["about"], known["attack"], known["published"], strict=True)) == [
        ("clean", None, 0.9),
        ("attack", "aa", 0.5),
    ]
    told |= {"published": [published | {"eps": 4 / 255}]}
    assert set(frame({"attack": files}, told)["published"].dropna()) == {0.9}


def test_doubts_come_along(results, told):
    found = frame({"attack": [results("net", "pgd", CLEAN, PGD, note="attacked through other")]}, told)
    assert list(found["note"]) == [None, "attacked through other"]


@pytest.mark.parametrize("first", [True, False])
def test_of_a_pair_the_other_model_is_named(tmp_path, told, first):
    pair = ("net", "other") if first else ("other", "net")
    keys = {"dataset": "ten", "images": "natural", "model": pair[0], "model_b": pair[1], "norm": None, "eps": 0.0}
    row = keys | {"measure": "cka", "n": 5, "value": 0.25, "lo": None, "hi": None, "note": None, "method": "cka"}
    row |= {"baseline": None, "floor": None, "p": None, "calibrated": None}
    path = tmp_path / "results" / "compare" / "ten" / "group" / "natural" / "cka" / "net.parquet"
    path.parent.mkdir(parents=True)
    rows = [
        row | {"baseline": None, "floor": None, "p": None, "calibrated": None},
        row | {"model": "a", "model_b": "b", "baseline": None, "floor": None, "p": None, "calibrated": None},
    ]
    tables.write(path, tables.COMPARE, rows, {})
    found = frame({"compare": [str(path)]}, told)
    assert len(found) == 1 and (found["model"] == "net").all() and found["model_b"].item() == "other"
    assert found["about"].item() == "similarity" and found["value"].item() == 0.25


def test_rows_make_the_declared_table(results, told, tmp_path):
    rows = scores_of({"attack": [results("net", "pgd", CLEAN, PGD)]}, told)
    tables.write(tmp_path / "scores.parquet", tables.SCORES, rows, {})
    assert len(tables.read(tmp_path / "scores.parquet", tables.SCORES)) == 2


def test_a_file_of_another_table_is_named(tmp_path, told):
    path = tmp_path / "pgd.parquet"
    tables.write(path, tables.COST, [], {})
    with pytest.raises(ValueError, match=r"pgd\.parquet"):
        scores_of({"attack": [str(path)]}, told)
