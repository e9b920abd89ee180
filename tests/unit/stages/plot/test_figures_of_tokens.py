"""Figures of robustness tokens: rows are means of cells, and what is drawn is what the table holds."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from imports import ROOT
from mettle import tables
from mettle.plan.figures import FIGURES
from mettle.stages import plot
from mettle.stages.plot import surrogates, tokens_features, tokens_training
from mettle.stages.tabulate import accuracy, tokens

PUBLISHED = ROOT / "resources" / "published" / "tokens_training.tsv"
ABOUT = {
    "vit": {"label": "no tokens", "base": "vit", "n_tokens": 0, "steps": 0},
    "ten": {"label": "10 tokens", "base": "vit", "n_tokens": 10, "steps": 30},
    "one": {"label": "1 token", "base": "vit", "n_tokens": 1, "steps": 30},
}
FEATURES = [f"{of}{axis}" for of in ("", "base_", "clean_") for axis in ("channels", "tokens", "class_token", "mse")]
ATTACKS = {"transfer": lambda model: "vit", "adaptive": lambda model: model}


def cells(n=40):
    """Rows of the table `drift`; the ids of the models are in different orders."""
    rng, rows = np.random.default_rng(0), []
    for attack, through in ATTACKS.items():
        for model in ABOUT:
            for image in rng.permutation(n):
                keys = {"dataset": "d", "split": "test", "model": model, "attack": attack, "norm": "linf", "id": image}
                values = {name: rng.uniform(0.4, 0.9) for name in FEATURES}
                more = {"eps": 8 / 255, "through": through(model), "distance": 0.03, "queries": 5}
                rows.append(keys | values | more)
    return rows


def steps(n=30):
    rng = np.random.default_rng(1)
    names = ("invariance", "adversarial", "plain")
    return [
        {"model": model, "step": step, "lr": 0.1, "image_mse": 0.001, "n": 16} | {name: rng.uniform() for name in names}
        for model in ("ten", "one")
        for step in range(n)
    ]


def made(figure, folder):
    """Cells and table of a figure."""
    about = FIGURES[figure]
    rows = steps() if figure == "tokens_training" else cells()
    tables.write(folder / "cells.parquet", *about.made_from, rows)
    function = tokens.training if figure == "tokens_training" else tokens.features
    beside = [PUBLISHED] if figure == "tokens_training" else []
    found = tables.read(folder / "cells.parquet", *about.made_from)
    tables.write(folder / "t.parquet", about.table, function(found, {"rows": ABOUT, "seed": 0}, beside))
    return found, tables.read(folder / "t.parquet", about.table)


def test_measures_are_means_of_their_columns_and_gains_are_paired_by_image(tmp_path):
    found, table = made("tokens_features", tmp_path)
    assert len(table) == 6 * 12 and (table["n"] == 40).all() and table["trained"].isin([0, 30]).all()
    for (model, attack), rows in found.groupby(["model", "attack"]):
        own = table[(table["model"] == model) & (table["attack"] == attack)].set_index("measure")
        plain = found[(found["model"] == "vit") & (found["attack"] == attack)].set_index("id")
        rows = rows.set_index("id")
        assert own.loc["base", "value"] == pytest.approx(rows["base_channels"].mean())
        assert own.loc["own_tokens", "value"] == pytest.approx(rows["tokens"].mean())
        assert own.loc["clean_class_token", "value"] == pytest.approx(rows["clean_class_token"].mean())
        gain = (rows["base_channels"] - plain["base_channels"]).mean()
        assert own.loc["gain", "value"] == pytest.approx(gain, abs=1e-12)
        assert (own["lo"] <= own["value"]).all() and (own["value"] <= own["hi"]).all()
        if model == "vit":
            assert own.loc["gain", ["value", "lo", "hi"]].tolist() == pytest.approx([0, 0, 0])


def test_intervals_are_those_of_a_bootstrap_over_images(tmp_path):
    _, table = made("tokens_features", tmp_path)
    row = table[(table["measure"] == "base") & (table["model"] == "ten")].iloc[0]
    spread = np.sqrt(1 / 12) * 0.5 / np.sqrt(40)  # of the mean of uniform values
    assert 2.5 * spread < row["hi"] - row["lo"] < 5.5 * spread


def test_a_network_without_a_class_token_has_no_such_measure(tmp_path):
    found = pd.DataFrame(cells())
    for prefix in ("", "base_", "clean_"):
        found[f"{prefix}class_token"] = None
    rows = pd.DataFrame(tokens.features(found, {"rows": ABOUT, "seed": 0}, []))
    none = rows[rows["measure"].str.endswith("class_token")]
    assert none["value"].isna().all() and (none["note"] == "the network has no class token").all()
    assert rows[~rows["measure"].str.endswith("class_token")]["value"].notna().all()


def test_training_has_its_sum_and_published_ones_behind(tmp_path):
    found, table = made("tokens_training", tmp_path)
    ours = table[table["source"].isna()]
    wide = ours.pivot(index=["model", "step"], columns="measure", values="value").reset_index()
    np.testing.assert_allclose(wide["objective"], wide["invariance"] + wide["adversarial"])
    assert len(ours) == 4 * len(found) and set(ours["n"]) == {16}
    others = table[table["source"].notna()]
    assert set(others["measure"]) == {"objective"} and others["value"].max() < 2
    assert others["label"].str.endswith("(published)").all() and set(others["n"]) == {8}


def test_every_model_has_a_mark_in_every_panel_at_its_values(tmp_path):
    _, table = made("tokens_features", tmp_path)
    figure = tokens_features.draw(table)
    titles = ["transfer (8/255): sees no tokens", "adaptive (8/255): sees the tokens"]
    assert [axis.get_title() for axis in figure.axes] == titles
    for axis, attack in zip(figure.axes, ATTACKS, strict=True):
        for container, model in zip(axis.containers, ("vit", "ten", "one"), strict=True):
            (x,), (y,) = container[0].get_data()
            own = table[(table["attack"] == attack) & (table["model"] == model)].set_index("measure")["value"]
            assert (x, y) == pytest.approx((1 - own["clean"], own["base"]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["no tokens", "10 tokens", "1 token"]
    pyplot.close(figure)


def test_curves_are_running_means_and_published_ones_are_marked(tmp_path):
    found, table = made("tokens_training", tmp_path)
    figure = tokens_training.draw(table)
    line = next(line for line in figure.axes[1].lines if line.get_label() == "10 tokens")
    own = found[found["model"] == "ten"].sort_values("step")["adversarial"].astype(float)
    np.testing.assert_allclose(line.get_ydata(), own.rolling(20, min_periods=1).mean())
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:3] == ["10 tokens", "1 token", "the same images without tokens"] and len(names) == 6
    pyplot.close(figure)


@pytest.mark.parametrize("figure", ["tokens_training", "tokens_features"])
def test_the_same_table_gives_the_same_file(tmp_path, figure):
    made(figure, tmp_path)
    for name in ("a", "b"):
        plot.draw(figure, tmp_path / "t.parquet", tmp_path / f"{name}.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


# Who fools whom

MODELS = {"vit": "no tokens", "ten": "10 tokens"}
SEEN = {"pgd_a": "vit", "pgd_b": "self"}


def attacked(folder, n=50):
    """Attack cells of two models, attacked through one model and through themselves, and the table of the figure."""
    rng, rows = np.random.default_rng(0), []
    for model in MODELS:
        for attack in SEEN:
            for image in range(n):
                keys = {
                    "dataset": "d",
                    "split": "test",
                    "model": model,
                    "attack": attack,
                    "norm": "linf",
                    "eps": 8 / 255,
                }
                found = {"id": image, "label": 1, "clean_prediction": 1, "prediction": int(rng.integers(2))}
                found |= {"clean_loss": 0.1, "loss": 1.0, "margin": 0.0, "distance": 0.03, "queries": 9}
                rows.append(keys | found | dict.fromkeys(tables.FLAGS, False) | {"note": f"attacked through {attack}"})
    tables.write(folder / "cells.parquet", tables.ATTACK, rows)
    cells = tables.read(folder / "cells.parquet", tables.ATTACK)
    told = {"labels": MODELS, "seen": SEEN, "words": {"vit": "no tokens", "self": "the model itself"}}
    tables.write(folder / "t.parquet", FIGURES["surrogates"].table, accuracy.surrogates(cells, told, []))
    return cells, tables.read(folder / "t.parquet", FIGURES["surrogates"].table)


def test_a_cell_of_the_matrix_is_the_accuracy_of_a_model_on_images_that_another_was_attacked_for(tmp_path):
    cells, table = attacked(tmp_path)
    assert len(table) == 4 and set(table["through"]) == {"vit", "self"} and (table["clean"] == 1).all()
    figure = surrogates.draw(table)
    (image,) = figure.axes[0].images
    grid = image.get_array()
    assert grid[0].tolist() == [1, 1] and grid.shape == (3, 2)
    for line, attack in enumerate(SEEN, 1):
        for place, model in enumerate(MODELS):
            own = cells[(cells["model"] == model) & (cells["attack"] == attack)]
            assert grid[line, place] == pytest.approx((own["prediction"] == own["label"]).mean())
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["clean images", "no tokens", "the model itself"]
    assert figure.axes[0].get_title() == "accuracy in %, Linf 8/255"
    pyplot.close(figure)
