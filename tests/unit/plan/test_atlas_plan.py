"""The atlas: its cells across threats and eps, what its job is told, and what is refused."""

import pytest

from mettle.plan.figures import FIGURES
from mettle.tables import COMPARE, LAYER_SIMILARITY
from workplace import Workplace

NAMES = ["resnet8-plain-s0", "vgg5-robust-s0", "vit_mini-plain-s0"]


@pytest.fixture
def place(tmp_path):
    found = Workplace(tmp_path)
    found.robust("robust", "linf", "8/255")
    rows = [
        ("ten", "resnet8", "plain", 0),
        ("ten", "vgg5", "robust", 0, "linf", "8/255"),
        ("ten", "vit_mini", "plain", 0),
    ]
    found.models([*rows, ("two", "vgg5", "plain", 1)])
    return found


def plan(place, **options):
    atlas = {"dataset": "ten", "models": NAMES} | {key: options.pop(key) for key in list(options) if key in OPTIONS}
    measures = {"cka": {}, "near": {"method": "jaccard", "k": 3}, "slow": {"method": "rtd", "engine": "ripser++"}}
    measures["heat"] = {"method": "imd"}
    compare = {"measures": measures} | options.pop("compare", {})
    return place.plan(figures={"atlas": atlas}, compare=compare, **options)


OPTIONS = ("dataset", "models", "measure", "layers", "shows")


def test_each_model_is_compared_with_those_before_it_whatever_its_eps(place):
    found = plan(place)
    cells = [f"results/compare/ten/atlas/natural/cka/{name}.parquet" for name in NAMES[1:]]
    assert found.cells("atlas") == cells
    cell = {"dataset": "ten", "set": "atlas", "images": "natural", "model": NAMES[2]}
    assert found.names_above(cell) == NAMES[:2]
    assert found.pairs(cell) == {"norm": None, "eps": None}
    told = found.figure("atlas")
    assert told["models"] == NAMES and list(told["labels"]) == NAMES


def test_layers_are_compared_pair_by_pair(place):
    folder = "results/compare_layers/ten/near"
    pairs = [(1, 0), (2, 0), (2, 1)]
    expected = [f"{folder}/{NAMES[one]}/{NAMES[other]}.parquet" for one, other in pairs]
    assert plan(place, layers="best", measure="near").cells("atlas") == expected


def test_a_selector_and_a_set_across_eps_are_taken(place):
    assert len(plan(place, models={"dataset": "ten"}).cells("atlas")) == 2
    sets = {"mine": {"models": {"seed": 0}, "across": True}}
    cells = plan(place, models="mine", sets=sets).cells("atlas")
    assert cells == [f"results/compare/ten/mine/natural/cka/{name}.parquet" for name in NAMES[1:]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dataset": "tne"}, r"figures\.atlas\.dataset: unknown data set 'tne': did you mean 'ten'\?"),
        ({"measure": "cak"}, r"figures\.atlas\.measure: unknown measure 'cak': did you mean 'cka'\?"),
        ({"models": [*NAMES, "vgg5-plain-s1"]}, r"figures\.atlas\.models: 'vgg5-plain-s1' is not a model of 'ten'$"),
        ({"models": NAMES[:1]}, r"figures\.atlas\.models: an atlas needs two models of 'ten' or more$"),
        (
            {"models": "mine", "sets": {"mine": {"models": NAMES}}},
            r"figures\.atlas\.models: models of 'mine' with different eps are not .*: set `across: true` there$",
        ),
        (
            {"shows": "calibrated"},
            r"figures\.atlas\.shows: calibrated scores need more than compare\.permutations 1 for "
            r"compare\.level 0\.05: set `permutations: 200` under `compare`$",
        ),
        (
            {"shows": "calibrated", "layers": "best", "compare": {"permutations": 19}},
            r"figures\.atlas\.shows: scores of layers are not calibrated: set `layers: last` or `shows: value`$",
        ),
        (
            {"shows": "calibrated", "measure": "heat", "compare": {"permutations": 19}},
            r"figures\.atlas\.shows: 'imd' scores every order of the images alike, .* set `shows: value`$",
        ),
        (
            {"layers": "best", "measure": "slow"},
            r"atlas\.measure: 'slow' computes on a GPU, layers are",
        ),
        ({"measure": "near", "represent": {"sample": 3}}, r"atlas\.measure: k 3 of measure 'near' needs 4 images"),
    ],
)
def test_what_cannot_be_drawn_is_refused(place, options, said):
    with pytest.raises(ValueError, match=said):
        plan(place, **options).cells("atlas")


def test_its_table_has_the_columns_of_both_kinds_of_cells():
    columns = FIGURES["atlas"].table.columns
    assert {*COMPARE.columns, *LAYER_SIMILARITY.columns} < set(columns)
    assert columns["layer"].nullable and columns["calibrated"].nullable
