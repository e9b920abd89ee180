"""Scores of a model under a set of corruptions, from its answers."""

import numpy as np
import pandas as pd
import pytest

from mettle import tables
from mettle.stages.corrupt import robustness
from mettle.tasks.scores import SCORES

N, TYPES, SEVERITIES = 40, ["gaussian_noise", "fog"], [1, 3]
KEYS = {"dataset": "d", "split": "test", "model": "m"}


def cell(path, kind, severity, right, ids=range(N)):
    """Answers of which a share is right."""
    labels = np.arange(N) % 4
    predictions = np.where(np.arange(N) < round(right * N), labels, (labels + 1) % 4)
    rows = {"id": list(ids), "label": labels, "prediction": predictions, "loss": np.ones(N), "margin": np.ones(N)}
    rows |= {key: [value] * N for key, value in (KEYS | {"corruption": kind, "severity": severity}).items()}
    tables.write(path, tables.CORRUPT["classification"], rows)
    return path


@pytest.fixture
def cells(tmp_path):
    shares = {("gaussian_noise", 1): 0.6, ("gaussian_noise", 3): 0.4, ("fog", 1): 0.5, ("fog", 3): 0.1}
    found = [cell(tmp_path / f"{kind}{severity}", kind, severity, right) for (kind, severity), right in shares.items()]
    return [*found, cell(tmp_path / "clean", "clean", 0, 0.8)]


def summarise(cells, types=TYPES, severities=SEVERITIES, **more):
    given = {"draws": 200, "seed": 0} | more
    return robustness.summarise(cells, "classification", types, severities, **given)


def frame(cells, **more):
    found = pd.DataFrame(summarise(cells, **more)).query("measure == 'accuracy'")
    return found.set_index(["corruption", found["severity"].fillna(-1).astype(int), "statistic"])


def test_means_and_ratios_are_those_of_the_conditions(cells, tmp_path):
    found = frame(cells)["value"]
    assert found["clean", 0, "score"] == 0.8 and found["fog", 3, "score"] == pytest.approx(0.1)
    assert found["mean", -1, "mpc"] == pytest.approx(0.4) and found["mean", -1, "rpc"] == pytest.approx(0.5)
    assert found["mean", 1, "mpc"] == pytest.approx(0.55) and found["noise", -1, "mpc"] == pytest.approx(0.5)
    assert found["without_noise", -1, "mpc"] == found["weather", -1, "mpc"] == pytest.approx(0.3)
    tables.write(tmp_path / "r.parquet", tables.ROBUSTNESS, summarise(cells))
    assert set(pd.read_parquet(tmp_path / "r.parquet")["measure"]) == set(SCORES["classification"])


def test_intervals_hold_the_value_and_draw_the_same_images_for_all_conditions(cells):
    found = frame(cells, draws=500)
    assert ((found["lo"] <= found["value"]) & (found["value"] <= found["hi"])).all()
    assert (found["n"] == N).all()
    # Who is right under fog is right under noise: independent samples would make the ratio far wider.
    ratio = found.loc["mean", -1, "rpc"]
    assert ratio["hi"] - ratio["lo"] < 0.35
    assert found.equals(frame(cells, draws=500)) and not found.equals(frame(cells, draws=500, seed=1))


def test_answers_to_other_images_are_refused(cells, tmp_path):
    cells[1] = cell(tmp_path / "other", "gaussian_noise", 3, 0.4, ids=range(1, N + 1))
    with pytest.raises(ValueError, match="answers to gaussian_noise at severity 3 are of other images than those to"):
        summarise(cells)


def test_a_missing_condition_is_named(cells):
    with pytest.raises(ValueError, match=r"1 of 4 cells of the grid of corruptions are missing: fog at 3: compute"):
        summarise([*cells[:3], cells[-1]])


def test_corruption_errors_are_relative_to_the_reference(cells, tmp_path):
    errors = "".join(f"{kind}\t{severity}\t0.8\n" for kind in TYPES for severity in SEVERITIES)
    (tmp_path / "reference.tsv").write_text(f"corruption\tseverity\terror\nclean\t\t0.4\n{errors}")
    found = frame(cells, reference=tmp_path / "reference.tsv")["value"]
    assert found["gaussian_noise", -1, "ce"] == pytest.approx(0.5 / 0.8)
    assert found["fog", -1, "ce"] == pytest.approx(0.7 / 0.8)
    assert found["mean", -1, "mce"] == pytest.approx(0.6 / 0.8)
    assert found["fog", -1, "relative_ce"] == pytest.approx((0.7 - 0.2) / (0.8 - 0.4))
    assert found["mean", -1, "relative_mce"] == pytest.approx((0.6 - 0.2) / (0.8 - 0.4))


def test_without_a_reference_there_are_no_corruption_errors(cells):
    assert not set(frame(cells).index.get_level_values("statistic")) & {"ce", "mce", "relative_ce", "relative_mce"}


# Errors, of which less is better


def far(path, kind, severity, factor):
    """Answers of depth that is wrong by a factor, in ten images of 100 pixels at 2 m."""
    rows = {"id": list(range(10)), "valid": [100] * 10, "squared_error": [100 * (2 * factor - 2) ** 2] * 10}
    rows |= {"relative_error": [100 * (factor - 1)] * 10, "relative_squared_error": [200 * (factor - 1) ** 2] * 10}
    rows |= {"log_difference": [100 * np.log(factor)] * 10, "squared_log_difference": [100 * np.log(factor) ** 2] * 10}
    rows |= {"log10_error": [100 * np.log10(factor)] * 10}
    rows |= {f"within_{power}": [100 * (factor < 1.25**power)] * 10 for power in (1, 2, 3)}
    rows |= {key: [value] * 10 for key, value in (KEYS | {"corruption": kind, "severity": severity}).items()}
    tables.write(path, tables.CORRUPT["depth"], rows)
    return path


def test_errors_have_means_but_no_ratio_to_the_clean_one(tmp_path):
    cells = [far(tmp_path / f"fog{severity}", "fog", severity, factor) for severity, factor in ((1, 1.2), (3, 1.6))]
    cells.append(far(tmp_path / "clean", "clean", 0, 1.1))
    rows = pd.DataFrame(robustness.summarise(cells, "depth", ["fog"], [1, 3], draws=20, seed=0))
    found = rows.fillna({"severity": -1}).set_index(["measure", "corruption", "severity", "statistic"])["value"]
    assert found["abs_rel", "clean", 0, "score"] == pytest.approx(0.1)
    assert found["abs_rel", "mean", -1, "mpc"] == pytest.approx(0.4)
    assert found["silog", "mean", -1, "mpc"] == pytest.approx(0, abs=1e-6)
    assert found["a1", "mean", -1, "mpc"] == found["a1", "mean", -1, "rpc"] == 0.5
    ratios = set(rows[rows["statistic"] == "rpc"]["measure"])
    assert ratios == {"a1", "a2", "a3"} and set(rows["measure"]) == set(SCORES["depth"])
