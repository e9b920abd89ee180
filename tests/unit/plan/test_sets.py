"""Sets: which models are compared with which, and what a figure with models of its own costs."""

import pytest
import yaml

from mettle.plan import Plan, check_targets
from workplace import Workplace

PAIRS = {"datasets": ["ten"], "eps": [0], "measures": ["cka"]}
PLAIN = [f"resnet8-plain-s{seed}" for seed in range(4)]
ROBUST = [f"vgg5-robust-s{seed}" for seed in range(2)]


@pytest.fixture
def place(tmp_path):
    workplace = Workplace(tmp_path)
    workplace.robust("robust", "l2", 1)
    rows = [("ten", "resnet8", "plain", seed) for seed in range(4)]
    rows += [("ten", "vgg5", "robust", seed, "l2", 1) for seed in range(2)]
    workplace.models([*rows, ("two", "vgg5", "plain", 9)])
    return workplace


def jobs(cells):
    """Model of each cell."""
    return [path.rpartition("/")[2].removesuffix(".parquet") for path in cells]


def test_a_figure_with_models_of_its_own_costs_these_and_their_pairs(place):
    figures = {"fig2": PAIRS | {"models": PLAIN[2:]}, "fig4": {"datasets": ["ten"], "eps": [0]}}
    found = place.plan(figures=figures)
    assert found.cells("fig2") == [f"results/compare/ten/fig2/natural/cka/{PLAIN[3]}.parquet"]
    cell = {"dataset": "ten", "set": "fig2", "images": "natural", "model": PLAIN[3]}
    assert found.names_above(cell) == [PLAIN[2]]
    assert found.represented(cell) == [f"results/represent/ten/natural/{name}.parquet" for name in (PLAIN[3], PLAIN[2])]
    assert found.figure("fig2")["models"] == PLAIN[2:]
    assert jobs(found.cells("fig4")) == PLAIN[1:], "without models it is all of the sheet"


def test_figures_share_the_cells_of_a_named_set(place):
    figures = {"fig2": PAIRS | {"models": "mine"}, "fig3": PAIRS | {"models": "mine"}}
    found = place.plan(sets={"mine": {"models": [PLAIN[3], PLAIN[0], *ROBUST]}}, figures=figures)
    assert found.cells("fig2") == [f"results/compare/ten/mine/natural/cka/{PLAIN[0]}.parquet"], (
        "in the order of the set"
    )
    assert found.cells("fig3") == [f"results/compare/ten/mine/inverted/cka/{PLAIN[0]}.parquet"]
    crossed = {"dataset": "ten", "set": "mine", "images": "inverted", "model": PLAIN[0]}
    assert found.represented(crossed) == [f"results/represent/ten/crossed/mine/{PLAIN[0]}"]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ({"recipe": "plain", "arch": "resnet8"}, PLAIN[:4]),
        ({"recipe": "plain", "seed": [3, "1"]}, [PLAIN[1], PLAIN[3]]),
        ({"threat": "l2", "seed": 0}, ROBUST[:1]),
        ({"eps": "1/1"}, ROBUST),
    ],
)
def test_a_selector_stands_for_the_rows_that_have_its_cells_in_the_order_of_the_sheets(place, selector, names):
    found = place.plan(sets={"mine": {"models": selector}}, figures={"fig8": {"dataset": "ten", "models": selector}})
    assert found.sets["mine"].models == tuple(names)
    assert found.figure("fig8")["models"] == names, "a job is told names: a row that joins makes it run again"


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({"sede": 0}, "unknown column 'sede': did you mean 'seed'\\?"),
        ({"seed": 7, "arch": "vgg5"}, "no row of the sheets of models has seed: 7, arch: vgg5"),
    ],
)
def test_a_selector_that_fits_nothing_says_so(place, selector, message):
    with pytest.raises(ValueError, match=rf"^configuration: figures\.fig8\.models: {message}"):
        place.plan(figures={"fig8": {"dataset": "ten", "models": selector}}).cells("fig8")


def test_figures_of_models_take_a_named_set(place):
    found = place.plan(sets={"mine": {"models": PLAIN[2:]}}, figures={"fig8": {"dataset": "ten", "models": "mine"}})
    assert found.figure("fig8")["models"] == PLAIN[2:]


def test_a_set_compares_within_an_eps_unless_it_goes_across(place):
    models = [PLAIN[0], ROBUST[0], PLAIN[1], ROBUST[1]]
    for across in (False, True):
        found = place.plan(sets={"mine": {"models": models, "across": across}})
        above = [found.above(model, "mine") for model in models]
        assert above == ([[], models[:1], models[:2], models[:3]] if across else [[], [], models[:1], models[1:2]])
        keys = [found.pairs({"set": "mine", "model": model}) for model in models[:2]]
        assert keys == [
            {"norm": None, "eps": None if across else 0},
            {"norm": None, "eps": None} if across else {"norm": "l2", "eps": 1},
        ]


def test_a_set_across_leaves_out_what_cannot_be_evaluated_on_the_data_set(place):
    found = place.plan(sets={"mine": {"models": ["vgg5-plain-s9", *PLAIN[:2]], "across": True}})
    assert found.above(PLAIN[1], "mine", "ten") == [PLAIN[0]]


def test_jobs_are_linear_in_the_models_of_a_set(place):
    place.models([("ten", "resnet8", "plain", seed) for seed in range(60)])
    names = [f"resnet8-plain-s{seed}" for seed in range(60)]
    found = place.plan(figures={"fig2": PAIRS | {"models": names[:40]}})
    assert jobs(found.cells("fig2")) == names[1:40]


@pytest.mark.parametrize(
    ("sets", "models", "message"),
    [
        ({"mine": {"models": PLAIN}}, "mien", r"figures\.fig2\.models: unknown set 'mien': did you mean 'mine'\?$"),
        ({"mine": {"models": [*PLAIN, "gone"]}}, "mine", r"sets\.mine\.models: unknown model 'gone'"),
        ({"group": {"models": PLAIN}}, None, r"sets\.group: the name is taken: choose another$"),
        ({"fig5": {"models": PLAIN}}, None, r"sets\.fig5: the name is taken: choose another$"),
        ({"mine": {"models": PLAIN[:1]}}, None, r"'sets\.mine\.models' needs at least 2 entries"),
        ({"a b": {"models": PLAIN}}, None, r"has a name with other characters than letters, digits"),
        ({"mine": {"model": PLAIN}}, None, r"unknown key 'sets\.mine\.model': did you mean 'models'\?$"),
    ],
)
def test_what_is_wrong_with_sets(place, sets, models, message):
    with pytest.raises(ValueError, match=r"^configuration: .*" + message):
        place.plan(sets=sets, figures={"fig2": PAIRS | {"models": models}})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("compare/ten/mien/natural/cka/{0}", "unknown set 'mien': did you mean 'mine'\\?$"),
        ("compare/ten/mine/natural/cka/{3}", "unknown model 'resnet8-plain-s3': "),
        ("compare/ten/yours/natural/cka/{0}", r"configuration: sets\.yours\.models: unknown model 'gone'"),
    ],
)
def test_a_target_names_a_set_and_one_of_its_models(place, target, message):
    found = place.plan(sets={"mine": {"models": PLAIN[:2]}, "yours": {"models": [PLAIN[0], "gone"]}})
    path = f"results/{target.format(*PLAIN)}.parquet"
    with pytest.raises(ValueError, match=f"^target '{path}': .*{message}"):
        check_targets(found, [path])


# Sheets of one's own


def test_a_figure_that_nobody_asks_for_needs_no_models(place):
    figures = {
        "fig2": PAIRS,
        "fig12": {"models": ["gone"]},
        "fig9": {"dataset": "ten", "models": PLAIN, "attack": "gone"},
    }
    with pytest.raises(ValueError, match=r"figures\.fig12\.models: unknown model 'gone'"):
        place.plan(figures=figures)
    places = {key: str(place.folder / key) for key in ("recipes",)}
    places |= {key: str(place.folder / f"{key}.tsv") for key in ("datasets", "models")}
    found = Plan(places | {"compare": {"measures": {"cka": {}}}, "figures": figures})
    check_targets(found, ["results/figures/fig2.pdf", "results/represent/ten/natural/resnet8-plain-s0.parquet"])
    assert jobs(found.cells("fig2")) == PLAIN[1:]
    with pytest.raises(ValueError, match=r"figures\.fig12\.models: unknown model 'gone'"):
        check_targets(found, ["results/tables/fig12.html"])
    with pytest.raises(ValueError, match=r"figures\.fig9\.attack: unknown attack 'gone'"):
        found.cells("fig9")


def test_a_sweep_that_nobody_asks_for_needs_no_data_set(place):
    grid = {"base": "plain", "dataset": "gone", "arch": "vgg5", "grid": {"optimizer.lr": [0.1]}}
    (place.folder / "recipes" / "sweeps" / "elsewhere.yaml").write_text(yaml.safe_dump(grid))
    found = place.plan(sweeps=["elsewhere"])
    assert found.models == place.plan().models
    message = r"sweep elsewhere, row 'vgg5-elsewhere_lr0_1-s0': unknown data set 'gone'"
    with pytest.raises(ValueError, match=message):
        found.models_of_sweep("elsewhere")
    with pytest.raises(ValueError, match=message):
        check_targets(found, ["results/train/vgg5-elsewhere_lr0_1-s0/weights.safetensors"])
    with pytest.raises(ValueError, match=message):
        place.plan(sweeps=["elsewhere"], figures={"fig10": {"sweep": "elsewhere", "attacks": ["weak"]}})
