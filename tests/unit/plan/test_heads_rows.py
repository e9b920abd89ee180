"""Rows of heads on frozen networks: what jobs are told, and what is refused."""

import pytest

from workplace import BASE, Workplace

NET, HARD = "vit_mini-plain-s0", "hard"
TOKENS = {"kind": "tokens", "n": 4, "steps": 5, "batch_size": 8, "optimizer": {"lr": 0.1}}
TOKENS |= {"attack": {"norm": "linf", "eps": "8/255", "steps": 3}}
HEAD = {"kind": "head", "lr": [0.1], "steps": 5}
MAPS = {key: BASE[key] for key in ("epochs", "batch_size", "optimizer", "schedule")}
MAPS |= {"kind": "head", "task": "segmentation", "linear": {}, "input": BASE["input"] | {"size": 96}}
DEPTH = MAPS | {"task": "depth"}
PGD = {"method": "pgd", "norm": "linf", "eps": "8/255", "steps": 2}
ROWS = {
    NET: ("ten", "plain", "train", ""),
    HARD: ("ten", "few", "train", NET),
    "classes": ("ten", "head", "train", NET),
    "classes-own": ("ten", "head", "train", HARD),
    "classes-stock": ("ten", "head", "results/train/classes/weights.safetensors", HARD),
    "maps": ("roads", "maps", "train", NET),
    "maps-own": ("roads", "maps", "train", HARD),
    "depth": ("roads", "depth", "train", HARD),
}


def weights(*names):
    return [f"results/train/{name}/weights.safetensors" for name in names]


@pytest.fixture
def place(tmp_path):
    found = Workplace(tmp_path)
    head = "dataset\ttask\tclasses\tsize\treader\tsource\ttrain\ttest\tmap_classes\tdepth_min\tdepth_max"
    ten = "ten\tclassification\t10\t32\tdigits\t\ttrain\ttest\t\t\t"
    roads = "roads\tclassification, segmentation, depth\t10\t96\tstreets\t\ttrain\ttest\t11\t1\t10"
    (tmp_path / "datasets.tsv").write_text("\n".join([head, ten, roads]) + "\n")
    for name, recipe in {"few": TOKENS, "head": HEAD, "maps": MAPS, "depth": DEPTH}.items():
        found.recipe(name, recipe)
    return found


def plan(place, rows=None, more="", **own):
    lines = ["model\tdataset\tarch\trecipe\tseed\tsource\tbase\ttransfer"]
    for name, (dataset, recipe, source, base) in (rows or ROWS).items():
        arch = "resnet8" if name == "resnet8" else "vit_mini"
        way = more if name == [*(rows or ROWS)][-1] else ""
        lines.append(f"{name}\t{dataset}\t{arch}\t{recipe}\t0\t{source}\t{base}\t{way}")
    (place.folder / "models.tsv").write_text("\n".join(lines) + "\n")
    return place.plan(**own)


def test_each_kind_of_head_has_its_rule(place):
    found = plan(place)
    assert (found.headed, found.converted_heads) == (["classes", "classes-own"], ["classes-stock"])
    assert found.transferred == ["maps", "maps-own", "depth"] and found.hardened == [HARD]
    assert NET in found.trained and "classes" not in found.trained


def test_a_head_of_classification_has_the_input_of_its_base_and_is_told_the_rest(place):
    found = plan(place)
    at = {"model": "classes-own", "dataset": "ten"}
    assert found.preprocessing(at)["input"] == found.preprocessing({"model": NET})["input"]
    assert "input" not in found.head_recipe(at) and found.task_of("classes-own") == "classification"
    assert found.base_weights(at) == found.stands_on(at) == weights(HARD, NET)
    row = found.head_row(at)
    assert (row["base"], row["classes"], row["threat"], row["eps"]) == (HARD, 10, "linf", 8 / 255)
    assert found.head_row({"model": "classes"})["threat"] == "none"


def test_heads_of_dense_tasks_are_trained_with_the_network_as_it_is(place):
    found = plan(place)
    row = found.transferred_row({"model": "maps-own"})
    assert (row["transfer"], row["base"], row["map_classes"]) == ("fixed", HARD, 11)
    assert found.base_weights({"model": "maps"}) == weights(NET)
    assert found.recipe({"model": "depth"})["linear"]["range"] == [0.001, 10]


def test_an_attack_through_the_base_sees_the_same_head_on_the_network_without_tokens(place):
    found = plan(place, attack={"attacks": {"weak": PGD | {"through": "base"}}})
    seen = {
        model: found.surrogate({"model": model, "dataset": dataset, "attack": "weak"})
        for model, (dataset, *_) in ROWS.items()
        if model not in ("depth", NET, HARD)
    }
    expected = {
        "classes": [],
        "classes-own": ["classes"],
        "classes-stock": ["classes"],
        "maps": [],
        "maps-own": ["maps"],
    }
    assert seen == {name: weights(*models, *[NET] * bool(models)) for name, models in expected.items()}
    with pytest.raises(ValueError, match=r"no row has the head 'depth' on 'vit_mini-plain-s0', the network of 'depth'"):
        found.surrogate({"model": "depth", "dataset": "roads", "attack": "weak"})
    assert found.foundation("classes-own") == NET


def changed(**rows):
    return ROWS | rows


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        (changed(mine=("ten", "head", "train", "")), "", r"row 'mine': column base is empty: name the row whose netw"),
        (changed(mine=("ten", "head", "train", "classes")), "", r": the base 'classes' is a head, but a head is for a"),
        (changed(mine=("ten", "few", "train", "classes")), "", r": the base 'classes' is a head, but tokens are for a"),
        (
            {"resnet8": ("ten", "plain", "train", ""), "mine": ("ten", "head", "train", "resnet8")},
            "",
            r"'resnet8' has architecture 'resnet8', the row 'vit_mini': a head is for the network of its base, so writ",
        ),
        (changed(mine=("ten", "head", "train", NET)), "full", r"column transfer is 'full', but a head leaves its base"),
        (changed(mine=("ten", "maps", "train", NET)), "", r"row 'mine', recipe 'maps': trains for segmentation, but d"),
    ],
    ids=["no base", "head on head", "tokens on head", "architecture", "transfer", "task"],
)  # fmt: skip
def test_rows_that_cannot_be_are_refused(place, rows, more, message):
    with pytest.raises(ValueError, match=message):
        plan(place, rows, more)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (HEAD | {"lr": [0.1, 0.2]}, r"head\.yaml: blocks, average and lr make 2 heads: set holdout to the number of t"),
        (HEAD | {"method": "knn", "blocks": [1, 4]}, r"head\.yaml: nearest neighbours are one head, and nothing is ch"),
        (HEAD | {"task": "depth"}, r"head\.yaml: "),
        ({**MAPS, "linear": None}, r"head\.yaml: kind is head, but there is no block `linear`: add it, or leave task "),
        ({**DEPTH, "kind": "train", "linear": None}, r"head\.yaml: task is depth, whose head is the block `linear`: a"),
        (MAPS | {"task": "detection"}, r"head\.yaml: linear is for segmentation and depth, but task is detection: tak"),
        (MAPS | {"upernet": {"channels": 8}}, r"head\.yaml: upernet does nothing beside linear: take one of the two o"),
        (DEPTH | {"linear": {"range": [10, 1]}}, r"head\.yaml: linear\.range is \[10, 1\]: it must ascend$"),
        (MAPS | {"linear": {"crop": 32}}, r"head\.yaml: linear\.crop does nothing where linear\.inference is "),
    ],
    ids=["sweep", "knn", "head keys", "no linear", "depth", "detection", "upernet", "range", "idle"],
)  # fmt: skip
def test_recipes_that_cannot_be_are_refused(place, recipe, message):
    place.recipe("head", {key: value for key, value in recipe.items() if value is not None})
    with pytest.raises(ValueError, match=message):
        plan(place)


def test_windows_and_crops_have_to_fit_the_images(place):
    slide = {"inference": "slide", "crop": 32, "stride": 48}
    place.recipe("maps", MAPS | {"linear": slide})
    with pytest.raises(ValueError, match=r"linear\.stride is 48, more than linear.crop 32, and windows would le"):
        plan(place)
    place.recipe("maps", MAPS)
    crop = DEPTH | {"augment": {"random_crop": True}}
    place.recipe("depth", crop | {"input": BASE["input"] | {"size": 64}})
    assert plan(place).recipe({"model": "depth"})["augment"]["random_crop"]
    place.recipe("depth", crop | {"input": BASE["input"] | {"size": 128}})
    with pytest.raises(
        ValueError, match=r"images of 'roads' have 96 pixels a side, less than the crop of 128x128 that"
    ):
        plan(place)


def test_tokens_can_be_for_the_network_below_a_linear_head(place):
    whole = {key: value for key, value in MAPS.items() if key != "kind"}
    place.recipe("whole", whole)
    rows = {"net": ("roads", "whole", "train", ""), "tok": ("roads", "few", "train", "net")}
    found = plan(place, rows)
    assert found.task_of("tok") == "segmentation" and found.stands_on({"model": "tok"}) == weights("net")
    rows |= {"mine": ("roads", "maps", "train", "tok")}
    assert plan(place, rows).stands_on({"model": "mine"}) == weights("tok", "net")
