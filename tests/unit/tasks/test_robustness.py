"""Means over corruptions and corruption errors; the published ones are made again from their published cells."""

import numpy as np
import pandas as pd
import pytest

from imports import ROOT
from mettle.corruptions import BENCHMARK, GROUPS, SEVERITIES
from mettle.tasks.scores.robustness import (
    PRESETS,
    Grid,
    corruption_errors,
    grid,
    mean,
    mean_corruption_error,
    parts,
    reference,
    relative,
)

PUBLISHED = ROOT / "resources" / "published"
ALEXNET = reference(PUBLISHED / "alexnet_imagenet_c.tsv")
GROUP_NAMES = ("noise", "blur", "weather", "digital")


def published(name):
    return pd.read_csv(PUBLISHED / f"{name}.tsv", sep="\t", comment="#", dtype={"severity": str})


def made_up(draws=3):
    rng = np.random.default_rng(0)
    return {(name, severity): rng.uniform(0.1, 0.9, draws) for name in BENCHMARK for severity in SEVERITIES}


def means_of(found):
    return {part: mean(one) for part, one in parts(found).items()}


# Published numbers


def coco(statistic="score", **chosen):
    rows = published("robustness").fillna({"severity": ""})
    chosen = {"dataset": "coco", "measure": "box_ap", "statistic": statistic} | chosen
    for key, value in chosen.items():
        rows = rows[rows[key] == value]
    return rows


def coco_cells():
    rows = coco(model="Mask R-CNN R50")
    rows = rows[rows["corruption"] != "clean"]
    return {(row.corruption, int(row.severity)): np.array([row.value]) for row in rows.itertuples()}


def test_means_of_table_7_4_come_from_its_cells():
    cells = coco_cells()
    assert len(cells) == 19 * 5
    found = means_of(grid(cells))
    means = coco("mpc", model="Mask R-CNN R50", severity="").set_index("corruption")["value"]
    whole = found["mean", None]
    assert whole == pytest.approx(means["mean"], abs=5e-4)
    assert [found[name, None][0] for name in GROUP_NAMES] == pytest.approx(list(means[list(GROUP_NAMES)]), abs=5e-4)
    assert relative(whole, np.array([0.373])) == pytest.approx(0.501, abs=1e-3)
    assert whole > found["blur", None] and found["without_noise", None] > whole


def test_severity_1_of_table_7_4_comes_from_its_cells():
    found = means_of(grid(coco_cells(), severities=PRESETS["yamada"]))
    rows, ratios = (coco(measure, model="Mask R-CNN R50", severity="1") for measure in ("mpc", "rpc"))
    assert found["mean", None] == pytest.approx(rows["value"].item(), abs=5e-4)
    assert relative(found["mean", None], np.array([0.373])) == pytest.approx(ratios["value"].item(), abs=2e-3)
    np.testing.assert_array_equal(found["mean", None], found["mean", 1])


def test_ratios_of_tables_7_3_and_7_4_come_from_their_means():
    rows = published("robustness").query("task == 'detection'").fillna({"severity": ""})
    key = ["dataset", "model", "measure", "source"]
    clean = rows[rows["severity"] == "0"].set_index(key)["value"]
    assert clean.index.is_unique
    shares = rows[rows["statistic"] == "rpc"].set_index([*key, "severity"])["value"]
    means = rows.query("statistic == 'mpc' and corruption == 'mean'").set_index([*key, "severity"])["value"]
    ours = means / clean.reindex(means.index.droplevel("severity")).to_numpy()
    assert len(shares) > 20
    assert (ours[shares.index] - shares).abs().max() < 0.002  # all three are rounded to 0.001


def test_means_of_groups_give_the_mean_of_table_7_4():
    rows = coco("mpc", severity="")
    for model in ("Mask R-CNN R50", "HTC X101-64x4d-DCN"):
        own = rows[rows["model"] == model].set_index("corruption")["value"]
        weighted = sum(own[name] * len(GROUPS[name]) for name in GROUP_NAMES) / len(BENCHMARK)
        assert weighted == pytest.approx(own["mean"], abs=1e-3)


@pytest.mark.parametrize(("model", "mce"), [("Regular", 0.7670), ("ANT", 0.6251)])
def test_mce_and_accuracies_of_table_7_5_come_from_its_corruption_errors(model, mce):
    own = published("robustness").query("model == @model and dataset == 'imagenet_c'")
    means = own[own["severity"].isna()].set_index(["corruption", "statistic"])["value"]
    rows = own[own["statistic"] == "ce"].set_index("corruption")["value"]
    assert sorted(rows.index) == sorted(BENCHMARK) and means["mean", "mce"] == mce
    errors = {name: rows[name] * ALEXNET.means[name] for name in BENCHMARK}
    found = grid({(name, one): [errors[name]] for name in BENCHMARK for one in SEVERITIES})
    assert mean_corruption_error(found, ALEXNET) == pytest.approx(mce, abs=3e-4)
    assert 1 - mean(found) == pytest.approx(means["mean", "mpc"], abs=3e-4)
    quiet = [name for name in BENCHMARK if name not in GROUPS["noise"]]
    assert 1 - mean(found.only(quiet)) == pytest.approx(means["without_noise", "mpc"], abs=3e-4)


def test_means_of_alexnet_come_from_its_cells():
    for name in BENCHMARK:
        if name != "jpeg_compression":
            assert np.mean([ALEXNET.cells[name, one] for one in SEVERITIES]) == pytest.approx(
                ALEXNET.means[name], abs=1e-6
            )
    assert sorted(ALEXNET.means) == sorted(BENCHMARK)


@pytest.mark.parametrize("name", ["robustness", "alexnet_imagenet_c"])
def test_published_numbers_are_fractions_with_a_source(name):
    rows = published(name)
    assert rows["source"].notna().all()
    assert rows["error" if "error" in rows else "value"].between(0, 1).all()
    assert set(rows["corruption"].dropna()) <= {
        "clean",
        "mean",
        "without_noise",
        *GROUPS,
        *(one for names in GROUPS.values() for one in names),
    }


# Means


def test_a_mean_is_over_corruptions_of_the_mean_over_severities():
    cells = made_up()
    assert mean(grid(cells)) == pytest.approx(np.mean(list(cells.values()), axis=0))
    part = {("fog", 1): [0.2], ("fog", 2): [0.4], ("snow", 1): [0.9]}
    found = grid(part, ["fog", "snow"], [1, 2], incomplete=True)
    assert mean(found) == pytest.approx((0.3 + 0.9) / 2)


def test_cells_are_found_by_name():
    cells = made_up()
    more = {("speckle_noise", severity): np.zeros(3) for severity in SEVERITIES} | {("fog", 0): np.ones(3)}
    shuffled = more | dict(reversed(cells.items()))
    assert mean(grid(shuffled)) == pytest.approx(mean(grid(cells)))


def test_parts_of_a_grid():
    cells = made_up()
    found = means_of(grid(cells))
    by_severity = [("mean", one) for one in (None, *SEVERITIES)]
    assert list(found) == [*by_severity, *((name, None) for name in ("without_noise", *GROUP_NAMES, *BENCHMARK))]
    noise = [cells[name, one] for name in GROUPS["noise"] for one in SEVERITIES]
    np.testing.assert_allclose(found["noise", None], np.mean(noise, axis=0))
    np.testing.assert_allclose(found["without_noise", None] * 12 + found["noise", None] * 3, found["mean", None] * 15)
    np.testing.assert_allclose(found["mean", 2], np.mean([cells[name, 2] for name in BENCHMARK], axis=0))
    np.testing.assert_allclose(found["fog", None], np.mean([cells["fog", one] for one in SEVERITIES], axis=0))


def test_a_ratio_to_a_clean_score_of_nothing_is_undefined():
    found = relative(np.array([0.4, 0.3, 0.1]), np.array([0.8, 0.9, 0.0]))
    np.testing.assert_allclose(found, [0.5, 1 / 3, np.nan])


def test_a_grid_of_noise_alone_has_no_mean_without_it():
    cells = {cell: value for cell, value in made_up().items() if cell[0] in GROUPS["noise"]}
    found = parts(grid(cells, GROUPS["noise"]))
    assert ("noise", None) in found and not {("without_noise", None), ("blur", None)} & found.keys()


def test_presets_have_the_severities_of_their_papers():
    assert PRESETS == {"michaelis": (1, 2, 3, 4, 5), "yamada": (1,)}


# What is missing


def test_an_incomplete_grid_is_refused_or_labelled():
    cells = {cell: value for cell, value in made_up().items() if cell not in {("fog", 2), ("fog", 5), ("snow", 1)}}
    with pytest.raises(ValueError, match=r"3 of 75 cells of the grid .* missing: snow at 1; fog at 2, 5: compute them"):
        grid(cells)
    found = grid(cells, incomplete=True)
    assert found.note == "incomplete: without snow at 1; fog at 2, 5"
    assert len(found.cells) == 72 and found.only(["fog"]).note == found.note
    assert grid(made_up(), incomplete=True).note is None


def test_many_missing_corruptions_are_counted():
    cells = {("fog", 1): [0.5]}
    with pytest.raises(ValueError, match=r"motion_blur at 1, 2, 3, 4, 5; .*; and 7 more corruptions: compute them"):
        grid(cells)
    with pytest.raises(ValueError, match="75 of 75 cells"):
        grid({}, incomplete=True)


def test_a_mean_over_nothing_is_undefined():
    assert np.isnan(mean(Grid({})))


# Corruption errors


def test_alexnet_has_errors_of_one():
    cells = {(name, one): [ALEXNET.means[name]] for name in BENCHMARK for one in SEVERITIES}
    found = corruption_errors(grid(cells), ALEXNET)
    assert list(found) == list(BENCHMARK)
    assert mean_corruption_error(grid(cells), ALEXNET) == pytest.approx(1)
    assert mean_corruption_error(grid(cells), ALEXNET, np.array([ALEXNET.clean])) == pytest.approx(1)


def test_relative_errors_subtract_the_clean_ones_of_both():
    found = grid({("fog", 1): [0.5, 0.6], ("fog", 2): [0.7, 0.6]}, ["fog"], [1, 2])
    theirs = (ALEXNET.cells["fog", 1] + ALEXNET.cells["fog", 2]) / 2
    np.testing.assert_allclose(corruption_errors(found, ALEXNET)["fog"], 0.6 / theirs)
    relative = corruption_errors(found, ALEXNET, np.array([0.2, 0.3]))["fog"]
    np.testing.assert_allclose(relative, np.array([0.4, 0.3]) / (theirs - 0.43478))


def test_an_error_that_is_not_published_is_a_sentence():
    found = grid({("jpeg_compression", 1): [0.5]}, ["jpeg_compression"], [1])
    with pytest.raises(ValueError, match=r"alexnet_imagenet_c.tsv has no error for jpeg_compression at 1, so"):
        corruption_errors(found, ALEXNET)
