"""Figures of robustness: what is drawn is what the table holds."""

import itertools

import numpy as np
import pytest
import test_universality
from matplotlib import pyplot

from mettle import tables
from mettle.corruptions import BENCHMARK, GROUPS
from mettle.data.item import png
from mettle.plan.figures import FIGURES
from mettle.stages import plot
from mettle.stages.plot import corruptions, prime, transfer
from mettle.stages.tabulate import robustness
from mettle.tasks.scores import main, share

BACKBONES = ("standard", "AugMix", "PRIME", "L2 eps 1")
TASKS = ("classification", "segmentation", "detection")


def scores(modes, tasks=TASKS):
    """Rows of the table `robustness` and what a figure's job is told of its models."""
    rng, cells, about = np.random.default_rng(0), [], {}
    for task, backbone, mode in itertools.product(tasks, BACKBONES, modes):
        model = f"{task}-{backbone}-{mode}".replace(" ", "_")
        about[model] = {"label": model, "mode": mode, "backbone": backbone}
        parts = [("clean", 0, "score")]
        for name, statistic in itertools.product(("mean", "without_noise", *GROUPS), ("mpc", "rpc")):
            parts.append((name, None, statistic))
        for kind, severity, statistic in parts:
            value = rng.uniform(0.3, 0.8)
            keys = {"dataset": "streets", "split": "test", "model": model, "task": task, "corruption": kind}
            keys |= {"severity": severity, "measure": share(task).measure, "statistic": statistic, "n": 100}
            cells.append(keys | {"value": value, "lo": value - 0.05, "hi": value + 0.04, "note": None})
    return cells, about


def table(folder, figure, cells, about, **options):
    options = {"detection": "box_ap"} | options
    tables.write(folder / "cells.parquet", tables.ROBUSTNESS, cells)
    made = robustness.transfer(tables.read(folder / "cells.parquet", tables.ROBUSTNESS), {"rows": about} | options, [])
    tables.write(folder / f"{figure}.parquet", FIGURES[figure].table, made)
    return tables.read(folder / f"{figure}.parquet", FIGURES[figure].table)


def images():
    """Rows of the table `corruptions` for two images."""
    rng = np.random.default_rng(0)
    conditions = [("clean", 0), *itertools.product(BENCHMARK, range(1, 6))]
    shared = {"dataset": "d", "measure": "psnr", "n": 1, "value": 20.0, "lo": None, "hi": None, "note": None}
    return [
        shared
        | {"corruption": kind, "severity": severity, "id": number}
        | {"image": png(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8))}
        for kind, severity in conditions
        for number in (3, 8)
    ]


MODES = {"transfer": ("full", "fixed"), "prime": ("full", "full_prime"), "tokens_corruptions": ("fixed",)}
ROWS = ("corruptions", "transfer", "prime", "tokens_corruptions")


def made(figure, folder):
    if figure != "corruptions":
        return table(folder, figure, *scores(MODES[figure]))
    tables.write(folder / "e.parquet", FIGURES[figure].table, images())
    return tables.read(folder / "e.parquet", FIGURES[figure].table)


@pytest.fixture
def drawn():
    """A drawing of a table, closed in the end."""
    figures = []

    def draw(module, whole):
        figures.append(module.draw(whole))
        figures[-1].canvas.draw()
        return figures[-1]

    yield draw
    for figure in figures:
        pyplot.close(figure)


@pytest.mark.parametrize("figure", ROWS)
def test_the_same_table_gives_the_same_bytes_of_robustness(figure, tmp_path):
    made(figure, tmp_path)
    paths = [tmp_path / f"{number}.pdf" for number in range(2)]
    for path in paths:
        plot.draw(figure, tmp_path / ("e.parquet" if figure == "corruptions" else f"{figure}.parquet"), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_every_image_is_shown_clean_and_under_every_corruption(tmp_path, drawn):
    figure = drawn(corruptions, made("corruptions", tmp_path))
    assert len(figure.axes) == 2 * 15 * 6
    words = {text.get_text() for text in figure.texts}
    assert {kind.replace("_", " ") for kind in BENCHMARK} | {"clean", "1", "5"} <= words


def test_a_set_of_few_corruptions_is_one_block(tmp_path, drawn):
    rows = made("corruptions", tmp_path)
    figure = drawn(corruptions, rows[rows["corruption"].isin(("clean", "fog"))])
    assert len(figure.axes) == 2 * 6


def test_points_of_transfer_are_the_scores(tmp_path, drawn):
    whole = made("transfer", tmp_path)
    figure = drawn(transfer, whole)
    test_universality.texts_have_room(figure)
    assert len(figure.axes) == 6
    for column, task in enumerate(TASKS):
        own = whole[whole["task"] == task]
        clean = own[own["corruption"] == "clean"]["value"].astype(float)
        mean = own[(own["corruption"] == "mean") & (own["statistic"] == "mpc")]["value"].astype(float)
        points = {tuple(line.get_xydata()[0]) for line in figure.axes[column].lines if line.get_marker() in "os"}
        assert points == set(zip(clean, mean, strict=True))
        ratios = own[
            (own["statistic"] == "rpc") & own["corruption"].isin(("mean", "noise", "blur", "weather", "digital"))
        ]
        below = [line.get_ydata()[0] for line in figure.axes[3 + column].lines if line.get_marker() in "os"]
        assert sorted(below) == sorted(ratios["value"].astype(float))


def test_points_of_prime_are_the_scores(tmp_path, drawn):
    whole = made("prime", tmp_path)
    figure = drawn(prime, whole)
    test_universality.texts_have_room(figure)
    assert len(figure.axes) == 9
    first = whole[whole["task"] == TASKS[0]]
    clean = first[first["corruption"] == "clean"]["value"].astype(float)
    points = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() in "os"]
    assert sorted(points) == sorted(clean)


def test_a_mode_that_is_missing_for_a_backbone_leaves_a_gap(tmp_path, drawn):
    whole = made("prime", tmp_path)
    part = whole[~((whole["mode"] == "full_prime") & (whole["backbone"] == "AugMix"))]
    drawn(prime, part)
    drawn(transfer, part[part["task"] == "segmentation"])


def test_a_task_shows_only_its_own_backbones(tmp_path, drawn):
    whole = made("prime", tmp_path)
    figure = drawn(prime, whole[~((whole["task"] == "detection") & (whole["backbone"] == "AugMix"))])
    shown = {axis.get_title(loc="left").split(",")[0]: len(axis.get_yticks()) for axis in figure.axes[::3]}
    assert shown["detection"] == shown["segmentation"] - 1 > 0


def test_axes_end_where_the_data_do_and_lines_of_equal_ratio_are_named(tmp_path, drawn):
    whole = made("transfer", tmp_path)
    axis = drawn(transfer, whole).axes[0]
    own = whole[whole["task"] == whole["task"].iloc[0]].query("corruption == 'mean' and statistic == 'mpc'")
    highest = own["hi"].astype(float).max()
    assert highest < axis.get_ylim()[1] < 1.3 * highest
    left, top = axis.get_xlim()[0], axis.get_ylim()[1]
    inside = [f"{share:.0%}" for share in (0.25, 0.5, 0.75, 1) if left * share < top]
    assert [text.get_text() for text in axis.texts] == inside and inside


def test_detectors_are_scored_by_their_masks_on_request(tmp_path, drawn):
    cells, about = scores(MODES["transfer"], ("detection",))
    masks = [row | {"measure": "mask_ap", "value": row["value"] / 2, "lo": None, "hi": None} for row in cells]
    whole = table(tmp_path, "transfer", cells + masks, about, detection="mask_ap")
    assert list(whole["value"]) == [row["value"] for row in masks] and set(whole["measure"]) == {"mask_ap"}
    assert drawn(transfer, whole).axes[0].get_xlabel() == "clean mask AP"


def test_published_scores_stand_behind_ours(tmp_path):
    cells, about = scores(("full",), ("detection",))
    tables.write(tmp_path / "c.parquet", tables.ROBUSTNESS, [row | {"dataset": "coco"} for row in cells])
    (tmp_path / "published.tsv").write_text(
        "dataset\tmodel\ttask\tcorruption\tseverity\tmeasure\tstatistic\tvalue\tsource\n"
        "coco\tMask R-CNN\tdetection\tmean\t\tbox_ap\tmpc\t0.187\ta paper\n"
        "imagenet_c\tRegular\tclassification\tmean\t\taccuracy\tmce\t0.767\ta paper\n"
    )
    cells = tables.read(tmp_path / "c.parquet", tables.ROBUSTNESS)
    rows = robustness.scores(cells, {"rows": about, "datasets": ["coco"]}, [tmp_path / "published.tsv"])
    tables.write(tmp_path / "r.parquet", FIGURES["robustness"].table, rows)
    assert [row["source"] for row in rows] == [None] * len(cells) + ["a paper"]
    assert (rows[-1]["label"], rows[-1]["value"], rows[-1]["n"]) == ("Mask R-CNN (published)", 0.187, None)


def test_of_depth_the_figure_shows_a_score_of_which_more_is_better(tmp_path, drawn):
    cells, about = scores(("full",), ("depth",))
    errors = [cell | {"measure": main("depth").measure} for cell in cells]
    whole = table(tmp_path, "transfer", [*errors, *cells], about)
    assert set(whole["measure"]) == {"a1"}
    assert drawn(transfer, whole).axes[0].get_xlabel() == "clean δ < 1.25"
