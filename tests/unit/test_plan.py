"""Plan: which files a configuration asks for, and one sentence for whatever is wrong with it."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from mettle import models
from mettle.plan import Plan, check_targets, names, sheets

SCRIPTS = Path(names.__file__).parents[2]
PLAIN = {
    "epochs": 1,
    "batch_size": 8,
    "optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0},
    "schedule": {"name": "cosine", "warmup_epochs": 1},
    "input": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3},
}
ROBUST = {"extends": "plain", "loss": "adversarial", "attack": {"norm": "l2", "eps": 1.0, "steps": 1}}
LINF = {"extends": "plain", "loss": "adversarial", "attack": {"norm": "linf", "eps": 1.0, "steps": 1}}
# dataset, arch, recipe, threat, eps, seed, source
SHEET = [
    ("little", "resnet8", "plain", "none", 0, 0, "train"),
    ("little", "vgg5", "plain", "none", 0, 0, "train"),
    ("little", "resnet8", "robust", "l2", 1, 0, "train"),
    ("big", "resnet18", "plain", "none", 0, 0, "hf://owner/repository/file.ckpt"),
    ("little", "resnet8", "plain", "none", 0, 1, "train"),
    ("little", "vgg5", "robust", "l2", 1, 0, "train"),
    ("little", "resnet8", "linf", "linf", 1, 0, "train"),
    ("big", "resnet50", "plain", "none", 0, 0, "resources/resnet50.ckpt"),
]
ATTACK = {"method": "pgd", "norm": "l2", "eps": 0.5, "steps": 2}
ACCURACY = {"evaluations": [{"datasets": ["little"], "attacks": ["weak"]}]}
FIG5 = {"dataset": "little", "eps": [0, 1], "measures": ["cka", "near"]}


def name_of(row):
    return f"{row[1]}-{row[2]}-s{row[5]}"


class Workplace:
    """Sheets and recipes in a folder of their own."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "recipes").mkdir()
        self.recipe("plain", PLAIN)
        self.recipe("robust", ROBUST)
        self.recipe("linf", LINF)
        (folder / "datasets.tsv").write_text(
            "dataset\ttask\tclasses\tsize\treader\tsource\ttrain\ttest\n"
            "little\tclassification\t10\t32\tdigits\t\ttrain\ttest\n"
            "big\tclassification\t1000\t0\tfolder\tresources/big\ttrain\tval\n"
        )
        self.sheet(SHEET)

    def recipe(self, name, content):
        (self.folder / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(content))

    def sweep(self, name, content):
        (self.folder / "recipes" / "sweeps").mkdir(exist_ok=True)
        (self.folder / "recipes" / "sweeps" / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def sheet(self, rows, names=None):
        lines = ["model\tdataset\tarch\trecipe\tthreat\teps\tseed\tsource"]
        names = names or [name_of(row) for row in rows]
        lines += ["\t".join(map(str, (name, *row))) for name, row in zip(names, rows, strict=True)]
        (self.folder / "models.tsv").write_text("\n".join(lines) + "\n")

    def config(self, **blocks):
        places = {"datasets": "datasets.tsv", "models": "models.tsv", "recipes": "recipes"}
        return (
            {key: str(self.folder / value) for key, value in places.items()}
            | {
                "attack": {"attacks": {"weak": ATTACK}},
                "compare": {"measures": {"cka": {}, "near": {"method": "jaccard", "k": 3}}},
                "figures": {"accuracy": ACCURACY, "fig5": FIG5},
            }
            | blocks
        )

    def plan(self, **blocks):
        """The plan, all its figures checked."""
        found = Plan(self.config(**blocks))
        check_targets(found, [])
        return found


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def fig5(**changes):
    return {"figures": {"fig5": FIG5 | changes}}


# What is wrong is one sentence


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"compair": {}}, r"^configuration: unknown key 'compair': did you mean 'compare'\?$"),
        (
            fig5(models=["resnet8-plane-s0"]),
            r"^configuration: figures\.fig5\.models: unknown model 'resnet8-plane-s0': did you mean 'resnet8-plain",
        ),
        (
            fig5(models=["resnet18-plain-s0"]),
            r"^configuration: figures\.fig5\.models: 'resnet18-plain-s0' is not a model of 'little'$",
        ),
        (
            fig5(dataset="litle"),
            r"^configuration: figures\.fig5\.dataset: unknown data set 'litle': did you mean 'little'\?$",
        ),
        (
            fig5(measures=["nearr"]),
            r"^configuration: figures\.fig5\.measures: unknown measure 'nearr': did you mean 'near'\?$",
        ),
        (
            fig5(eps=[0, 2]),
            r"^configuration: figures\.fig5\.eps: l2 2 needs two models of 'little' or more$",
        ),
        (fig5(eps=[-1]), r"^configuration: 'figures\.fig5\.eps\.0' must be at least 0, got -1$"),
        (
            {"figures": {"accuracy": {"evaluations": [{"datasets": ["bigg"], "attacks": ["weak"]}]}}},
            r"^configuration: figures\.accuracy\.evaluations\.0\.datasets: unknown data set 'bigg': did you mean 'big'",
        ),
        (
            {"attack": {"attacks": {"weak": ATTACK | {"eps": -0.5}}}},
            r"^configuration: attack\.attacks\.weak: 'eps' must be at least 0, got -0\.5$",
        ),
        (
            {"attack": {"attacks": {"weak": ATTACK | {"stepz": 3}}}},
            r"^configuration: attack\.attacks\.weak: unknown key 'stepz': did you mean 'steps'\?$",
        ),
        (
            {"attack": {"attacks": {"weak": {"method": "pgd"}}}},
            r"^configuration: attack\.attacks\.weak: key 'norm' is missing$",
        ),
        (
            {"attack": {"attacks": {"weak": ATTACK | {"method": "pdg"}}}},
            r"^configuration: attack\.attacks\.weak: unknown method 'pdg': did you mean 'pgd'\?$",
        ),
        (
            {"attack": {"attacks": {"weak": ATTACK | {"datasets": ["litle"]}}}},
            r"^configuration: attack\.attacks\.weak: 'datasets' is now 'figures\.accuracy\.evaluations': move it",
        ),
        (
            {"compare": {"measures": {"ckaa": {}}}},
            r"^configuration: compare\.measures\.ckaa: unknown method 'ckaa': did you mean 'cka'\?$",
        ),
        (
            {"compare": {"measures": {"near": {"method": "jaccard", "zz": 3}}}},
            r"^configuration: compare\.measures\.near: unknown key 'zz'; known: centre, k, method, metric",
        ),
        ({"models": "none.tsv"}, r"^none\.tsv cannot be read as a tab-separated sheet: .*No such file"),
    ],
)
def test_what_is_wrong_in_the_configuration(place, blocks, message):
    with pytest.raises(ValueError, match=message) as caught:
        place.plan(**blocks)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ("little", "vgg5", "plain", "none", -1, 7, "train"),
            r"row 'vgg5-plain-s7': 'eps' must be at least 0, got -1\.0$",
        ),
        (
            ("litle", "vgg5", "plain", "none", 0, 7, "train"),
            r"row 'vgg5-plain-s7': unknown data set 'litle': did you mean 'little'\?$",
        ),
        (
            ("little", "vgg55", "plain", "none", 0, 7, "train"),
            r"row 'vgg55-plain-s7': unknown architecture 'vgg55': did you mean 'vgg5'\?$",
        ),
        (
            ("little", "vgg5", "plian", "none", 0, 7, "train"),
            r"row 'vgg5-plian-s7': unknown recipe 'plian': did you mean 'plain'\?$",
        ),
        (
            ("little", "vgg5", "robust", "none", 1, 7, "train"),
            r"row 'vgg5-robust-s7': threat and eps are none 1, but recipe 'robust' trains with l2 1$",
        ),
        (
            ("little", "vgg5", "robust", "l2", 0, 7, "train"),
            r"row 'vgg5-robust-s7': threat and eps are l2 0, but recipe 'robust' trains with l2 1$",
        ),
        (
            ("little", "vgg5", "robust", "l2", 2, 7, "train"),
            r"row 'vgg5-robust-s7': threat and eps are l2 2, but recipe 'robust' trains with l2 1$",
        ),
        (
            ("little", "vgg5", "robust", "linf", 1, 7, "train"),
            r"row 'vgg5-robust-s7': threat and eps are linf 1, but recipe 'robust' trains with l2 1$",
        ),
        (
            ("little", "vgg5", "plain", "l2", 1, 7, "train"),
            r"row 'vgg5-plain-s7': threat and eps are l2 1, but recipe 'plain' trains with none 0$",
        ),
        (
            ("little", "vgg5", "plain", "none", 0, "one", "train"),
            r"row 'vgg5-plain-sone': 'seed' must be an integer, got 'one'$",
        ),
        (
            ("little", "vgg5", "plain", "none", 0, 7, "s3://x"),
            r"row 'vgg5-plain-s7': column source is 's3://x', not of the form s3://BUCKET/KEY$",
        ),
    ],
)
def test_what_is_wrong_in_a_row_of_the_models(place, row, message):
    place.sheet([*SHEET, row])
    with pytest.raises(ValueError, match=r"models\.tsv, (line 10, )?" + message) as caught:
        place.plan()
    assert "\n" not in str(caught.value)


def test_a_name_is_free_and_a_row_is_labelled_by_it_unless_it_has_a_label(place):
    lines = ["model\tlabel\tdataset\tarch\trecipe\tseed\tsource"]
    lines += ["my.net_v2\t\tlittle\tvgg5\trobust\t7\ttrain", "b\tmine, plain\tlittle\tvgg5\tplain\t7\ttrain"]
    (place.folder / "models.tsv").write_text("\n".join(lines) + "\n")
    found = place.plan(figures={}, sets={"both": {"models": {"arch": "vgg5", "threat": "l2"}}})
    assert {name: row["label"] for name, row in found.models.items()} == {"my.net_v2": "my.net_v2", "b": "mine, plain"}
    assert found.group("my.net_v2") == ("little", "l2", 1.0) and found.group("b") == ("little", "none", 0.0)
    assert found.sets["both"].models == ("my.net_v2",)
    assert re.fullmatch(found.pattern(found.models), "my.net_v2") and not re.fullmatch(
        found.pattern(found.models), "my_net_v2"
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("threat", None),
        ("eps", None),
        ({"threat": "linf"}, r"threat and eps are linf 1, but recipe 'robust' trains with l2 1$"),
        ({"eps": "2"}, r"threat and eps are l2 2, but recipe 'robust' trains with l2 1$"),
    ],
)
def test_a_row_may_state_threat_or_eps_and_must_agree_with_the_recipe(place, columns, message):
    stated = columns if isinstance(columns, dict) else {columns: {"threat": "l2", "eps": "1"}[columns]}
    lines = ["\t".join(["model", "dataset", "arch", "recipe", "seed", "source", *stated])]
    lines.append("\t".join(["mine", "little", "vgg5", "robust", "7", "train", *stated.values()]))
    (place.folder / "models.tsv").write_text("\n".join(lines) + "\n")
    if message is None:
        assert place.plan(figures={}).group("mine") == ("little", "l2", 1.0)
        return
    with pytest.raises(ValueError, match=r"models\.tsv, row 'mine': " + message):
        place.plan(figures={})


@pytest.mark.parametrize("name", ["my net", "-mine", ".mine", "a/b", "x.epochs", "x.log", "mïne"])
def test_a_name_that_cannot_be_in_a_path_is_refused(place, name):
    place.sheet([("little", "vgg5", "plain", "none", 0, 7, "train")], [name])
    message = (
        "'model' may only hold letters, digits, '_', '-' and '.', must start with a letter or digit, and must not end"
    )
    with pytest.raises(ValueError, match=re.escape(f"row '{name}': {message} with .epochs or .log, got '{name}'")):
        place.plan()


@pytest.mark.parametrize("name", ["all", "attack"])
def test_a_name_that_means_something_else_is_refused(place, name):
    place.sheet([("little", "vgg5", "plain", "none", 0, 7, "train")], [name])
    with pytest.raises(ValueError, match=f"row '{name}': the name '{name}' is taken: choose another$"):
        place.plan()


def test_folders_of_unfinished_jobs_are_no_names_of_models():
    rules = "".join(path.read_text() for path in (SCRIPTS.parent / "rules").glob("*.smk"))
    folders = set(re.findall(r'(?:PLAN\.state\("|results/\.resume/)(\w+)/', rules))
    assert {"attack", "download"} < folders <= sheets._TAKEN


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"extends": "robust"}, r"plain\.yaml: extends itself through plain -> robust$"),
        ({"extends": "plain"}, r"plain\.yaml: extends itself through plain$"),
        ({"extends": "gone"}, r"plain\.yaml: extends: unknown recipe 'gone'; known: linf, plain, robust$"),
        (PLAIN | {"epoch": 1}, r"plain\.yaml: unknown key 'epoch': did you mean 'epochs'\?$"),
        (PLAIN | {"loss": "adversarial"}, r"plain\.yaml: loss 'adversarial' needs an `attack` block$"),
        (PLAIN | {"attack": ROBUST["attack"]}, r"plain\.yaml: loss 'standard' needs no `attack` block$"),
        (PLAIN | {"loss": "bce", "attack": ROBUST["attack"]}, r"plain\.yaml: loss 'bce' needs no `attack` block$"),
        (
            PLAIN | {"loss": "trades", "attack": ROBUST["attack"] | {"target": "random"}},
            r"plain\.yaml: attack\.target is 'random', but .* of 'trades' .*: set it to 'none'$",
        ),
    ],
)
def test_what_is_wrong_in_a_recipe(place, recipe, message):
    place.recipe("plain", recipe)
    with pytest.raises(ValueError, match=message):
        place.plan()


def test_a_recipe_takes_over_nested_keys_of_the_one_it_extends(place):
    place.recipe("robust", ROBUST | {"schedule": {"warmup_epochs": 3}})
    recipe = place.plan().recipe({"model": "vgg5-robust-s0"})
    assert recipe["schedule"]["name"] == "cosine" and recipe["schedule"]["warmup_epochs"] == 3
    assert recipe["optimizer"]["momentum"] == 0.9  # a default
    assert "extends" not in recipe


# Files


def test_above_makes_each_pair_once_and_only_among_equals(place):
    found = place.plan()
    pairs = [(model, other) for model in found.models for other in found.above(model)]
    rows = {name_of(row): row for row in SHEET}
    kind = {name: (row[0], row[3], row[4]) for name, row in rows.items()}
    expected = {frozenset((a, b)) for a in rows for b in rows if a != b and kind[a] == kind[b]}
    assert len(pairs) == len(expected) == 5
    assert {frozenset(pair) for pair in pairs} == expected
    assert found.above("resnet8-plain-s1") == ["resnet8-plain-s0", "vgg5-plain-s0"]


def test_a_model_added_at_the_end_changes_no_other_cell(place):
    before = place.plan()
    place.sheet([*SHEET, ("little", "vgg5", "plain", "none", 0, 1, "train")])
    after = place.plan()
    assert all(after.above(model) == before.above(model) for model in before.models)
    assert set(before.cells("fig5")) < set(after.cells("fig5"))
    new = set(after.cells("fig5") + after.cells("accuracy")) - set(before.cells("fig5") + before.cells("accuracy"))
    assert len(new) == 3 and all("vgg5-plain-s1" in path for path in new)


def test_cells_of_figure_5(place):
    where = "results/subgroups/little/group/natural/agreement"
    shown = ["vgg5-plain-s0", "resnet8-plain-s1", "vgg5-robust-s0"]
    assert place.plan().cells("fig5") == [
        f"{where}/{measure}/{m}.parquet" for measure in ("cka", "near") for m in shown
    ]
    assert place.plan(**fig5(eps=[0], measures=["cka"])).cells("fig5") == [
        f"{where}/cka/{m}.parquet" for m in shown[:2]
    ]
    found = place.plan(**fig5(groups="confidence", measures=["cka"])).cells("fig5")
    assert found[0] == f"results/subgroups/little/group/natural/confidence/cka/{shown[0]}.parquet"


def test_models_of_figure_5_are_those_of_its_eps_and_threat(place):
    plain = ["resnet8-plain-s0", "vgg5-plain-s0", "resnet8-plain-s1"]
    place.sheet([*SHEET, ("little", "vgg5", "linf", "linf", 1, 0, "train")])

    def shown(**changes):
        return place.plan(**fig5(**changes)).figure("fig5")["models"]

    assert set(shown()) == {*plain, "resnet8-robust-s0", "vgg5-robust-s0"}
    assert set(shown(threat="linf")) == {*plain, "resnet8-linf-s0", "vgg5-linf-s0"}
    assert shown(models=plain[:2], eps=[0]) == plain[:2]


def test_attack_cells_are_models_times_the_attacks_of_their_data_set(place):
    found = place.plan(attack={"attacks": {"weak": ATTACK, "other": ATTACK}})
    assert found.attack_cells(["big"], ["other"]) == [
        "results/attack/big/resnet18-plain-s0/other.parquet",
        "results/attack/big/resnet50-plain-s0/other.parquet",
    ]
    assert len(found.attack_cells(["little"], ["weak", "other"])) == 2 * 6
    assert found.cells("accuracy") == found.attack_cells(["little"], ["weak"])


def test_targets_are_the_listed_figures(place):
    assert sorted(place.plan().targets()) == [
        "results/figures/fig5.pdf",
        "results/tables/accuracy.parquet",
        "results/tables/fig5.parquet",
    ]
    assert place.plan(figures={"accuracy": ACCURACY}).targets() == ["results/tables/accuracy.parquet"]


def test_a_configuration_need_not_list_every_figure(place):
    none = place.plan(figures={})
    assert none.targets() == none.cells("fig5") == none.cells("accuracy") == []
    assert none.figure("fig5") == {}


def test_what_a_job_is_told(place):
    found = place.plan()
    assert found.model_row({"model": "resnet18-plain-s0"})["classes"] == 1000
    assert found.test_store({"model": "resnet18-plain-s0"}) == [
        "results/prep/big/val.lmdb",
        "results/prep/big/val.parquet",
    ]
    assert found.train_store(SimpleNamespace(model="vgg5-plain-s0"))[0] == "results/prep/little/train.lmdb"
    assert found.dataset_row(SimpleNamespace(dataset="big"))["source"] == "resources/big"
    assert found.pairs({"set": "group", "model": "vgg5-plain-s0"}) == {"norm": None, "eps": 0}
    assert found.pairs({"set": "group", "model": "vgg5-robust-s0"}) == {"norm": "l2", "eps": 1}
    assert found.measure({"measure": "cka"}) == {"method": "cka"}
    assert found.measure({"measure": "near"})["method"] == "jaccard" and found.measure({"measure": "near"})["k"] == 3
    assert found.attack({"attack": "weak", "model": "vgg5-plain-s0"})["restarts"] == 1
    assert found.classes({"dataset": "big"}) == 1000


def test_a_cell_on_natural_images_is_made_of_a_model_and_those_above_it(place):
    found, where = place.plan(), "results/represent/little/natural"
    cell = {"dataset": "little", "set": "group", "images": "natural", "model": "resnet8-plain-s1"}
    above = ["resnet8-plain-s0", "vgg5-plain-s0"]
    assert found.names_above(cell) == above
    assert found.represented(cell) == [f"{where}/{name}.parquet" for name in ("resnet8-plain-s1", *above)]
    assert found.represented(cell | {"model": above[0]}) == [f"{where}/{above[0]}.parquet"]


def test_a_cell_on_inverted_images_is_made_of_one_folder(place):
    found = place.plan()
    cell = {"dataset": "little", "set": "group", "images": "inverted", "model": "vgg5-robust-s0"}
    assert found.represented(cell) == ["results/represent/little/crossed/group/vgg5-robust-s0"]
    assert found.represented(cell | {"model": "resnet8-robust-s0"}) == []


def test_files_of_each_model_above(place):
    paths = place.plan().each_above("results/{dataset}/{model}.x")
    assert paths(SimpleNamespace(dataset="little", set="group", model="resnet8-plain-s1")) == [
        "results/little/resnet8-plain-s0.x",
        "results/little/vgg5-plain-s0.x",
    ]
    assert paths({"dataset": "little", "set": "group", "model": "resnet8-plain-s0"}) == []
    with pytest.raises(ValueError, match=r"is a model of 'little', not of 'big'$"):
        paths({"dataset": "big", "set": "group", "model": "resnet8-plain-s0"})


def test_image_sets_are_stores_and_a_sample_is_taken_of_held_out_images_only(place):
    found = place.plan(represent={"sample": 7})
    cell = {"dataset": "little", "model": "vgg5-plain-s0"}
    sets = {
        images: found.image_set(cell | {"images": images})[0]
        for images in ("natural", "train", "inverted-resnet8-robust-s0")
    }
    assert list(sets.values()) == [
        "results/prep/little/test.lmdb",
        "results/prep/little/train.lmdb",
        "results/invert/little/resnet8-robust-s0.lmdb",
    ]
    assert [found.sample({"images": images}) for images in sets] == [7, None, None]
    with pytest.raises(
        ValueError,
        match=r"row 'resnet18-plain-s0': is not a model of 'little', so 'vgg5-plain-s0' cannot be evaluated on",
    ):
        found.image_set(cell | {"images": "inverted-resnet18-plain-s0"})


PAIRS = {"datasets": ["little"], "eps": [0, 1]}


@pytest.mark.parametrize(
    ("figure", "options", "expected"),
    [
        ("fig2", {"measures": ["cka", "near"]}, "compare/little/group/natural/near/vgg5-robust-s0"),
        ("fig3", {"measures": ["cka", "near"]}, "compare/little/group/inverted/cka/resnet8-plain-s1"),
        ("fig4", {}, "agree/little/group/natural/vgg5-plain-s0"),
        ("fig13", {}, "agree/little/group/inverted/vgg5-plain-s0"),
        ("fig14", {"measures": ["near"]}, "compare/little/group/natural/near/vgg5-plain-s0"),
        ("fig15", {"measures": ["near"]}, "compare/little/group/inverted/near/vgg5-plain-s0"),
    ],
)
def test_figures_of_pairs_are_made_of_a_cell_per_model_with_one_above_it(place, figure, options, expected):
    found = place.plan(figures={figure: PAIRS | options})
    cells = found.cells(figure)
    assert f"results/{expected}.parquet" in cells
    assert len(cells) == 3 * len(options.get("measures", [""])), "three models have one above them"
    assert not any("linf" in path or "resnet8-plain-s0" in path for path in cells)
    assert found.figure(figure)["models"] and found.beside(figure) == sorted(
        set(found.beside(figure)), key=found.beside(figure).index
    )


def test_a_figure_of_a_data_set_shows_the_models_of_its_parent_on_it(place):
    sheet = place.folder / "datasets.tsv"
    text = sheet.read_text().replace("\ttest\n", "\ttest\tparent\n", 1).replace("\ttrain\ttest\n", "\ttrain\ttest\t\n")
    sheet.write_text(
        text.replace("\ttrain\tval\n", "\ttrain\tval\t\n") + "part\tclassification\t10\t32\tdigits\t\t\ttest\tlittle\n"
    )
    found = place.plan(figures={"fig2": {"datasets": ["part"], "eps": [0], "measures": ["cka"]}})
    assert found.cells("fig2") == [
        "results/compare/part/group/natural/cka/vgg5-plain-s0.parquet",
        "results/compare/part/group/natural/cka/resnet8-plain-s1.parquet",
    ]
    cell = {"dataset": "part", "set": "group", "images": "natural", "model": "vgg5-plain-s0"}
    assert found.represented(cell)[1:] == ["results/represent/part/natural/resnet8-plain-s0.parquet"]
    with pytest.raises(ValueError, match=r"is a model of 'little', not of 'big'$"):
        found.represented(cell | {"dataset": "big"})
    with pytest.raises(ValueError, match=r"figures\.fig2: no two models of 'big' have one of the eps in common$"):
        place.plan(figures={"fig2": {"datasets": ["little", "big"], "eps": [1], "measures": ["cka"]}})


def test_a_data_set_that_is_listed_twice_is_refused(place):
    with pytest.raises(ValueError, match=r"'figures\.fig4\.datasets' has an entry that appears twice"):
        place.plan(figures={"fig4": PAIRS | {"datasets": ["little", "little"]}})


def test_ambiguity_is_counted_on_the_represented_images_of_each_group(place):
    natural = place.plan(figures={"fig4": PAIRS}).beside("fig4")
    assert (
        "results/represent/little/natural/resnet8-plain-s0.parquet" in natural
        and len(set(natural)) == len(natural) == 5
    )
    inverted = place.plan(figures={"fig13": PAIRS}).beside("fig13")
    below = ("vgg5-plain-s0", "resnet8-plain-s1", "vgg5-robust-s0")
    assert inverted == [f"results/represent/little/crossed/group/{name}" for name in below]


def test_figure_1_needs_pairs_clean_images_and_inverted_ones(place):
    found = place.plan(figures={"fig1": {"dataset": "little", "models": ["vgg5-robust-s0"]}})
    assert found.cells("fig1") == ["results/pairs/little.parquet"]
    assert found.beside("fig1") == ["results/prep/little/test.lmdb", "results/invert/little/vgg5-robust-s0.lmdb"]
    assert found.figure("fig1")["rows"] == {"vgg5-robust-s0": {"norm": "l2", "eps": 1}}


def test_figure_6_is_made_of_probes(place):
    found = place.plan(figures={"fig6": {"dataset": "little", "eps": [1]}})
    assert found.cells("fig6") == ["results/probe_agree/little/group/vgg5-robust-s0.parquet"]


def test_neighbours_of_measures_are_told_to_figures_by_k(place):
    found = place.plan(figures={"fig14": PAIRS | {"measures": ["near"]}})
    assert found.figure("fig14")["k"] == {"near": 3}
    with pytest.raises(ValueError, match=r"figures\.fig15\.measures: 'cka' has no number of neighbours k$"):
        place.plan(figures={"fig15": PAIRS | {"measures": ["cka"]}})


ALL = {"fig2": PAIRS | {"measures": ["cka"]}, "fig3": PAIRS | {"measures": ["cka"]}, "fig4": PAIRS, "fig13": PAIRS}


def test_a_model_added_to_the_sheet_adds_cells_of_its_own_only(place):
    before = place.plan(figures=ALL)
    place.sheet([*SHEET, ("little", "vgg5", "plain", "none", 0, 1, "train")])
    after = place.plan(figures=ALL)
    for figure in ALL:
        assert set(before.cells(figure)) < set(after.cells(figure))
        assert {path.split("/")[-1] for path in set(after.cells(figure)) - set(before.cells(figure))} == {
            "vgg5-plain-s1.parquet"
        }
    for path in before.cells("fig3"):
        cell = dict(
            zip(("dataset", "set", "images", "model"), (*path.split("/")[2:5], path.split("/")[-1][:-8]), strict=True)
        )
        assert before.represented(cell) == after.represented(cell) and before.names_above(cell) == after.names_above(
            cell
        )


def test_a_model_is_not_evaluated_as_one_of_another_data_set(place):
    found = place.plan()
    assert found.test_store({"model": "vgg5-plain-s0", "dataset": "little"})[0] == "results/prep/little/test.lmdb"
    with pytest.raises(ValueError, match=r"row 'vgg5-plain-s0': is a model of 'little', not of 'other'$"):
        found.test_store({"model": "vgg5-plain-s0", "dataset": "other"})


def test_a_model_is_evaluated_on_data_sets_that_name_its_own_as_parent(place):
    sheet = place.folder / "datasets.tsv"
    head, *rows = sheet.read_text().splitlines()
    rows = [f"{row}\t" for row in rows] + ["part\tclassification\t1000\t0\tfolder\tresources/big\t\tval\tbig"]
    sheet.write_text("\n".join([f"{head}\tparent", *rows]) + "\n")
    found = place.plan()
    assert found.test_store({"model": "resnet18-plain-s0", "dataset": "part"})[0] == "results/prep/part/val.lmdb"
    assert found.attack_cells(["part"], ["weak"]) == [
        f"results/attack/part/{model}/weak.parquet" for model, row in found.models.items() if row["dataset"] == "big"
    ]
    assert found.stores({"dataset": "part"}) == ["results/prep/part/val.lmdb", "results/prep/part/val.parquet"]
    assert len(found.stores({"dataset": "big"})) == 4
    with pytest.raises(ValueError, match=r"datasets\.tsv, row 'part': has no train split$"):
        found.store("part", "train")


def test_models_are_trained_or_published(place):
    found = place.plan()
    assert found.published == ["resnet18-plain-s0", "resnet50-plain-s0"]
    assert sorted(found.trained + found.published) == sorted(found.models)
    assert found.splits == ["test", "train", "val"]


def test_pattern_matches_the_names_and_nothing_else():
    assert re.fullmatch(Plan.pattern(["a.b", "c"]), "a.b")
    assert not re.fullmatch(Plan.pattern(["a.b", "c"]), "axb")
    assert not re.fullmatch(Plan.pattern([]), "")


def test_a_pattern_of_many_names_is_short_and_matches_them_and_no_others():
    names = [f"wide_resnet50_{k}-imagenet_l2_eps{eps}-s{seed}" for k in (2, 4) for eps in (1, 3) for seed in range(120)]
    pattern = Plan.pattern(names)
    assert all(re.fullmatch(pattern, name) for name in names)
    wrong = [names[0][:-1], f"{names[-1]}9", names[0].replace("resnet50_2", "resnet50_3"), ""]
    assert not any(re.fullmatch(pattern, name) for name in wrong)
    assert len(pattern) < len("|".join(names)) / 8


# Grids


def test_an_attack_with_a_grid_is_one_attack_per_cell(place):
    grid = {"eps": ["2/255", 0.5], "steps": [1, 10]}
    options = {key: value for key, value in ATTACK.items() if key not in grid}
    found = place.plan(attack={"attacks": {"weak": ATTACK, "many": options | {"norm": "linf", "grid": grid}}})
    names_ = ["many_eps2_255_steps1", "many_eps2_255_steps10", "many_eps0_5_steps1", "many_eps0_5_steps10"]
    assert found.attack_grid("many") == names_ and found.attack_grid("weak") == ["weak"]
    assert list(found.attacks) == ["weak", *names_]
    told = found.attack({"attack": "many_eps2_255_steps10", "model": "vgg5-plain-s0"})
    assert (told["eps"], told["steps"], told["norm"]) == (2 / 255, 10, "linf") and "grid" not in told


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("attack.eps", "4/255", "eps4_255"),
        ("eps", 8 / 255, "eps8_255"),
        ("eps", 0.5, "eps0_5"),
        ("optimizer.weight_decay", 0.05, "weight_decay0_05"),
        ("optimizer.lr", 1e-05, "lr1e_05"),
        ("augment.auto_augment", None, "auto_augmentnone"),
        ("augment.auto_augment", "rand-m9-mstd0.5-inc1", "auto_augmentrand_m9_mstd0_5_inc1"),
        ("augment.horizontal_flip", True, "horizontal_fliptrue"),
    ],
)
def test_values_of_a_grid_have_names_that_fit_into_a_path(key, value, expected):
    assert names.label(key, value) == expected


SWEEP = {
    "base": "robust",
    "dataset": "little",
    "arch": "vgg5",
    "seeds": [0, 1],
    "set": {"optimizer.lr": 0.2},
    "grid": {"attack.eps": ["8/255", 1.0], "schedule.warmup_epochs": [0, 2]},
}


def test_a_sweep_makes_a_recipe_and_models_of_every_cell(place):
    place.sweep("try", SWEEP)
    found = place.plan(sweeps=["try"])
    models_ = found.models_of_sweep("try")
    assert len(models_) == 2 * 2 * 2 == len(set(models_))
    row = found.models["vgg5-try_eps8_255_warmup_epochs2-s1"]
    assert (row["threat"], row["eps"], row["dataset"], row["seed"]) == ("l2", 8 / 255, "little", 1)
    assert row["cell"] == "eps 8/255, warmup_epochs 2"
    recipe = found.recipe({"model": row["model"]})
    assert recipe["optimizer"]["lr"] == 0.2 and recipe["schedule"] == found.recipe({"model": "vgg5-robust-s0"})[
        "schedule"
    ] | {"warmup_epochs": 2}
    assert set(models_) <= set(found.trained)


def test_models_of_a_sweep_are_in_no_other_figure(place):
    place.sweep("try", SWEEP)
    with_, without = place.plan(sweeps=["try"]), place.plan()
    assert with_.targets() == without.targets()
    assert [with_.cells(figure) for figure in ("accuracy", "fig5")] == [
        without.cells(figure) for figure in ("accuracy", "fig5")
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": "robustt"}, r"try\.yaml: base: unknown recipe 'robustt': did you mean 'robust'\?$"),
        ({"grid": {"optimizer.lrr": [1]}}, r"try\.yaml, cell 'try_lrr1': unknown key 'optimizer\.lrr': did you mean"),
        ({"grid": {}}, r"try\.yaml: 'grid' "),
        ({"gird": {}}, r"try\.yaml: unknown key 'gird': did you mean 'grid'\?$"),
        ({"dataset": "litle"}, r"^sweep try, row 'vgg5-try_.*': unknown data set 'litle': did you mean 'little'\?$"),
        ({"finetune": "vgg5-plain-s9"}, r"column base: unknown model 'vgg5-plain-s9': did you mean 'vgg5-plain-s0'\?$"),
    ],
)
def test_what_is_wrong_in_a_sweep(place, changes, message):
    place.sweep("try", SWEEP | changes)
    with pytest.raises(ValueError, match=message):
        place.plan(sweeps=["try"]).models_of_sweep("try")


def test_a_target_of_a_sweep_that_the_sheets_do_not_allow_says_why(place):
    place.sweep("try", SWEEP)
    model = place.plan(sweeps=["try"]).models_of_sweep("try")[0]
    place.sweep("try", SWEEP | {"dataset": "litle"})
    with pytest.raises(ValueError, match=r"weights\.safetensors': sweep try, row '.*': unknown data set 'litle'"):
        check_targets(place.plan(sweeps=["try"]), [f"results/train/{model}/weights.safetensors"])


def test_a_model_of_a_sweep_has_no_name_of_a_row(place):
    place.sweep("try", SWEEP)
    model = place.plan(sweeps=["try"]).models_of_sweep("try")[0]
    place.sheet([("little", "vgg5", "plain", "none", 0, 7, "train")], [model])
    with pytest.raises(ValueError, match=rf"models\.tsv, row '{model}': appears in sweep try too$"):
        place.plan(sweeps=["try"])


def test_an_unknown_sweep_is_named(place):
    place.sweep("try", SWEEP)
    with pytest.raises(ValueError, match=r"^configuration: sweeps: unknown sweep 'tri': did you mean 'try'\?$"):
        place.plan(sweeps=["tri"])


def test_null_takes_a_whole_block_away(place):
    place.recipe("clean", {"extends": "robust", "loss": "standard", "attack": None})
    place.sheet([*SHEET, ("little", "vgg5", "clean", "none", 0, 0, "train")])
    assert "attack" not in place.plan().recipe({"model": "vgg5-clean-s0"})


# Training from other weights and with other images


def test_a_model_can_start_from_another(place):
    place.sweep("try", SWEEP | {"finetune": "vgg5-plain-s0"})
    found = place.plan(sweeps=["try"])
    assert found.base_weights({"model": found.models_of_sweep("try")[0]}) == [
        "results/train/vgg5-plain-s0/weights.safetensors"
    ]
    assert found.base_weights({"model": "vgg5-plain-s0"}) == []


def test_a_recipe_can_mix_in_another_data_set(place):
    place.recipe("mixed", {"extends": "plain", "mix": {"dataset": "little", "ratio": 0.3}})
    place.sheet([*SHEET, ("little", "vgg5", "mixed", "none", 0, 0, "train")])
    assert place.plan().mixed_store({"model": "vgg5-mixed-s0"})[0] == "results/prep/little/train.lmdb"
    assert place.plan().mixed_store({"model": "vgg5-plain-s0"}) == []
    place.recipe("mixed", {"extends": "plain", "mix": {"dataset": "bigg"}})
    with pytest.raises(ValueError, match=r"recipe 'mixed': mix\.dataset: unknown data set 'bigg'"):
        place.plan()


def test_models_are_read_from_several_sheets(place):
    other = place.folder / "more.tsv"
    head, *rows = (place.folder / "models.tsv").read_text().splitlines()
    other.write_text(f"{head}\n" + rows[0].replace("-s0", "-s5").replace("\t0\ttrain", "\t5\ttrain") + "\n")
    both = [str(place.folder / "models.tsv"), str(other)]
    assert list(place.plan(models=both).models)[-1] == "resnet8-plain-s5"
    other.write_text(f"{head}\n{rows[0]}\n")
    with pytest.raises(ValueError, match=r"more\.tsv, row 'resnet8-plain-s0': appears in .*models\.tsv too$"):
        place.plan(models=both)


# Figures 7 to 11


def figure(name, **options):
    return {"figures": {name: {"dataset": "little", "models": ["vgg5-kept-s0"]} | options}}


@pytest.fixture
def kept(place):
    place.recipe("kept", ROBUST | {"checkpoints": [0]})
    place.sheet([*SHEET, ("little", "vgg5", "kept", "l2", 1, 0, "train")])
    return place


def test_cells_of_figures_7_to_9(kept):
    found = kept.plan(**figure("fig7"))
    assert found.cells("fig7") == ["results/effectiveness/little/vgg5-kept-s0.parquet"]
    assert found.beside("fig7") == ["resources/published/attack_effectiveness.csv"]
    assert kept.plan(**figure("fig7", published=False)).beside("fig7") == []
    assert kept.plan(**figure("fig8")).cells("fig8") == ["results/convergence/little/vgg5-kept-s0.parquet"]
    grid = {"method": "autoattack", "norm": "l2", "grid": {"eps": [0.5, 1.0]}}
    found = kept.plan(attack={"attacks": {"weak": grid}}, **figure("fig9", attack="weak"))
    where = "results/attack/little/vgg5-kept-s0"
    assert found.cells("fig9") == [f"{where}/weak_eps0_5.parquet", f"{where}/weak_eps1.parquet"]
    assert found.targets() == ["results/figures/fig9.pdf", "results/tables/fig9.parquet"]


def test_effectiveness_takes_the_weights_that_there_are(kept):
    found = kept.plan()
    assert found.kept_weights({"model": "vgg5-kept-s0"}) == "results/train/vgg5-kept-s0/checkpoints"
    for model in ("vgg5-robust-s0", "vgg5-plain-s0"):  # with an attack and without one
        assert found.kept_weights({"model": model}) == f"results/train/{model}/weights.safetensors"
        assert kept.plan(**figure("fig7", models=[model])).cells("fig7")
    found.models["vgg5-kept-s0"]["source"] = "somewhere.pt"
    assert found.kept_weights({"model": "vgg5-kept-s0"}) == "results/train/vgg5-kept-s0/weights.safetensors"


def test_cells_of_figure_10_are_the_models_of_its_sweep(place):
    place.sweep("try", SWEEP)
    found = place.plan(sweeps=["try"], figures={"fig10": {"sweep": "try", "attacks": ["weak"]}})
    models_ = found.models_of_sweep("try")
    assert found.cells("fig10") == [f"results/attack/little/{model}/weak.parquet" for model in models_]
    assert found.figure("fig10")["cells"][models_[0]] == "eps 8/255, warmup_epochs 0"


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (
            figure("fig7", models=["resnet18-plain-s0"]),
            r"fig7\.models: 'resnet18-plain-s0' is not a model of 'little'$",
        ),
        (figure("fig8", models=["vgg5-plain-s7"]), r"fig8\.models: unknown model 'vgg5-plain-s7'"),
        (figure("fig9", attack="weka"), r"fig9\.attack: unknown attack 'weka': did you mean 'weak'\?$"),
        ({"figures": {"fig10": {"sweep": "try", "attacks": ["weak"]}}}, r"fig10\.sweep: unknown sweep 'try'"),
    ],
)
def test_what_is_wrong_in_figures_7_to_11(kept, blocks, message):
    with pytest.raises(ValueError, match=r"^configuration: figures\." + message):
        kept.plan(**blocks)


def test_published_numbers_choose_the_attack_of_their_eps(place):
    sheet = place.folder / "published.tsv"
    row = "vgg5-robust-s0\tl2\t{}\tlittle\t0.9\t0.5\tsomewhere\n"
    sheet.write_text("model\tnorm\teps\timages\tclean\tautoattack\tsource\n" + row.format("0.5"))
    grid = {key: value for key, value in ATTACK.items() if key != "eps"} | {"grid": {"eps": [0.5, 1.0]}}
    blocks = {
        "attack": {"attacks": {"weak": grid}},
        "figures": {"published": {"numbers": str(sheet), "attack": "weak"}},
    }
    found = place.plan(**blocks)
    assert found.cells("published") == ["results/attack/little/vgg5-robust-s0/weak_eps0_5.parquet"]
    assert found.beside("published") == [str(sheet)] and found.targets() == ["results/tables/published.parquet"]
    sheet.write_text(sheet.read_text().replace("\t0.5\tlittle", "\t0.7\tlittle"))
    with pytest.raises(
        ValueError, match=r"figures\.published: no model of .* is in the sheets with an attack of its eps$"
    ):
        place.plan(**blocks)


# Imports


def test_a_figure_has_one_label_in_the_report():
    figures = ["fig2", "fig10", "accuracy"]
    labels = [Plan.labels({"figure": figure}) for figure in figures]
    assert all(list(label) == ["shows"] for label in labels)  # with two, Snakemake's report may make a switch
    texts = [label["shows"] for label in labels]
    assert texts[2] == "clean and attacked accuracy" and texts[1] == "10  recipe ablation"
    assert texts[0] == "\u20072  similarity on natural images"


def test_plan_is_made_without_torch_and_without_snakemake(place):
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); from mettle.plan import Plan; "
        "Plan(json.loads(sys.argv[2])).targets(); "
        "print([name for name in ('torch', 'timm', 'snakemake') if name in sys.modules])"
    )
    import json

    command = [sys.executable, "-c", code, str(SCRIPTS), json.dumps(place.config())]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_architectures_are_those_that_can_be_built():
    import timm

    assert names.known_architectures() == {*models.ARCHITECTURES, *timm.list_models()}, "timm has changed: make pins"
    assert names.TIMM.read_text().startswith(f"# models of timm {timm.__version__}\n"), "timm has changed: make pins"


def test_an_unknown_loss_names_those_that_are_declared(place):
    place.recipe("plain", PLAIN | {"loss": "standart"})
    with pytest.raises(ValueError, match=r"plain\.yaml: unknown loss 'standart': did you mean 'standard'\?$"):
        place.plan()


def test_with_another_timm_the_job_decides_on_architectures(monkeypatch, place):
    monkeypatch.setattr(names, "version", lambda name: "0.0.1")
    assert names.known_architectures() == frozenset()
    place.sheet([*SHEET, ("little", "vgg55", "plain", "none", 0, 7, "train")])
    assert "vgg55-plain-s7" in place.plan().models


def test_without_timm_the_pinned_one_counts(monkeypatch, place):
    def missing(name):
        raise names.PackageNotFoundError(name)

    monkeypatch.setattr(names, "version", missing)
    assert {"vgg5", "resnet18"} <= names.known_architectures()
    place.sheet([*SHEET, ("little", "vgg55", "plain", "none", 0, 7, "train")])
    with pytest.raises(ValueError, match=r"unknown architecture 'vgg55': did you mean 'vgg5'\?$"):
        place.plan()
