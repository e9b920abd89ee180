"""The figure of heads on frozen networks: scores of every task, and what is drawn is what the table holds."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from mettle import tables
from mettle.plan.figures import FIGURES
from mettle.stages import plot
from mettle.stages.plot import tokens_downstream
from mettle.stages.tabulate import tokens

ABOUT = FIGURES["tokens_downstream"]
SEEN = {"pgd_base": "base", "pgd_self": "self"}
TASKS = ("classification", "segmentation", "depth")
KINDS = {"plain": (0, "own"), "stock": (20, "stock"), "own": (20, "own")}


def row(task, kind):
    n, head = KINDS[kind]
    return {"label": f"{kind} {task}", "task": task, "network": "net", "n_tokens": n, "head": head}


ROWS = {f"{task}-{kind}": row(task, kind) for task in TASKS for kind in KINDS}


def answers(task, rng):
    """Columns of one image of a task."""
    if task == "classification":
        found = {"label": 1, "clean_prediction": 1, "prediction": int(rng.integers(2)), "margin": 0.0}
        return found | {"clean_loss": 0.1, "loss": 1.0}
    if task == "segmentation":
        true = rng.integers(5, 20, 3)
        hit = {prefix: rng.integers(0, true + 1) for prefix in ("clean_", "")}
        found = {"true": true} | {f"{prefix}intersection": value for prefix, value in hit.items()}
        return found | {f"{p}predicted": true for p in hit} | {f"{p}loss": 1.0 for p in hit}
    found = {"valid": 100}
    terms = ("squared_error", "relative_error", "relative_squared_error", "squared_log_difference", "log10_error")
    for prefix in ("clean_", ""):
        found |= {f"{prefix}{term}": rng.uniform(1, 9) for term in terms} | {f"{prefix}log_difference": 0.5}
        found |= {f"{prefix}within_{power}": int(rng.integers(20, 90)) for power in (1, 2, 3)}
    return found


def made(folder, n=30):
    """Cells of models of three tasks, and the table of the figure."""
    rng, paths = np.random.default_rng(0), []
    for model, about in ROWS.items():
        for attack in SEEN if about["n_tokens"] else ["pgd_self"]:
            keys = {"dataset": "d", "split": "test", "model": model, "attack": attack, "norm": "linf", "eps": 1 / 255}
            more = {"distance": 0.003, "queries": 9, "note": "attacked through x"} | dict.fromkeys(tables.FLAGS, False)
            rows = [keys | {"id": image} | answers(about["task"], rng) | more for image in range(n)]
            paths.append(folder / f"{model}-{attack}.parquet")
            tables.write(paths[-1], tables.ATTACKED[about["task"]], rows)
    cells = tables.concat(paths, *ABOUT.made_from)
    rows = tokens.downstream(cells, {"rows": ROWS, "seen": SEEN, "seed": 0}, [])
    tables.write(folder / "t.parquet", ABOUT.table, rows)
    return cells, tables.read(folder / "t.parquet", ABOUT.table)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return made(tmp_path_factory.mktemp("cells"))


def test_every_task_has_its_scores_of_clean_and_of_attacked_images(both):
    _, table = both
    assert set(table["attack"]) == {"clean", *SEEN} and (table["n"] == 30).all() and table["note"].isna().all()
    for task, measure in zip(TASKS, ("accuracy", "miou", "abs_rel"), strict=True):
        own = table[(table["task"] == task) & (table["measure"] == measure)]
        assert len(own) == 3 + 1 + 2 + 2, "clean, without tokens through itself alone, with them in both ways"
        assert (own["lo"] <= own["value"]).all() and (own["value"] <= own["hi"]).all()
        assert own.loc[own["attack"] == "clean", "eps"].eq(0).all()
        assert own.loc[own["attack"] == "clean", "through"].isna().all()


def test_a_value_is_the_score_of_the_images_of_its_cell(both):
    cells, table = both
    some = (cells["model"] == "classification-own") & (cells["attack"] == "pgd_base")
    value = table[(table["model"] == "classification-own") & (table["attack"] == "pgd_base")].set_index("measure")
    right = (cells.loc[some, "prediction"] == cells.loc[some, "label"]).mean()
    assert value.loc["accuracy", "value"] == pytest.approx(right)
    some = (cells["model"] == "segmentation-stock") & (cells["attack"] == "pgd_base")
    hit, true = (np.stack(cells.loc[some, name]).sum(0) for name in ("clean_intersection", "true"))
    mine = (table["model"] == "segmentation-stock") & (table["attack"] == "clean") & (table["measure"] == "miou")
    assert table.loc[mine, "value"].item() == pytest.approx((hit / (2 * true - hit)).mean())


def test_what_is_drawn_is_what_the_table_holds(both):
    _, table = both
    figure = tokens_downstream.draw(table)
    shown = dict(zip(TASKS, ("accuracy", "miou", "a1"), strict=True))
    assert [axis.get_title() for axis in figure.axes] == [f"{task}, d" for task in TASKS]
    for axis, task in zip(figure.axes, TASKS, strict=True):
        for container, kind in zip(axis.containers, KINDS, strict=True):
            own = table[(table["model"] == f"{task}-{kind}") & (table["measure"] == shown[task])].set_index("attack")
            order = ["clean", "pgd_self", "pgd_self"] if kind == "plain" else ["clean", "pgd_base", "pgd_self"]
            np.testing.assert_allclose([*map(float, container[0].get_ydata())], own.loc[order, "value"].astype(float))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["no tokens", "20 tokens, stock head", "20 tokens, own head"]
    pyplot.close(figure)


def test_networks_have_rows_of_their_own_and_missing_tasks_no_panel(both):
    _, table = both
    other = table[table["task"] != "depth"].assign(network="other net")
    figure = tokens_downstream.draw(pd.concat([table, other], ignore_index=True))
    assert len(figure.axes) == 6 and [axis.axison for axis in figure.axes] == [True] * 5 + [False]
    assert figure.axes[3].get_title() == "other net: classification, d"
    pyplot.close(figure)


def test_the_same_table_gives_the_same_file(both, tmp_path):
    rows = both[1].astype(object).where(both[1].notna(), None).to_dict("records")
    tables.write(tmp_path / "t.parquet", ABOUT.table, rows)
    for name in ("a", "b"):
        plot.draw("tokens_downstream", tmp_path / "t.parquet", tmp_path / f"{name}.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_a_file_of_none_of_the_tables_is_refused(tmp_path):
    tables.write(tmp_path / "x.parquet", tables.TOKENS_STEPS, [])
    with pytest.raises(ValueError, match=r"x\.parquet holds table 'tokens_steps', expected 'attack'$"):
        tables.concat([tmp_path / "x.parquet"], *ABOUT.made_from)
