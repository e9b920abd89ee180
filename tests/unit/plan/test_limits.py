"""What cannot be, given what the plan knows, is said before any job."""

import pytest

from mettle import measures, schema
from mettle.perturb.apgd import LOSSES
from mettle.perturb.autoattack import STAGES
from mettle.plan import check_targets
from mettle.plan.sheets import of_grid
from workplace import ATTACK, MODELS, Workplace

ALL = {"method": "autoattack", "norm": "linf", "eps": "8/255"}
PAIRS = {"datasets": ["ten"], "eps": [0]}


@pytest.fixture
def place(tmp_path):
    found = Workplace(tmp_path)
    found.models([*MODELS, ("two", "vgg5", "plain", 2)])
    return found


def options(kind):
    """Method, option and rules of everything in the schema of attacks or measures."""
    for method, rules in schema.load(kind)["$defs"].items():
        for key, about in rules["properties"].items():
            yield method, key, about


# Classes


def test_the_schema_has_the_classes_that_the_losses_need():
    needed = {(method, key): about["classes"] for method, key, about in options("attacks") if "classes" in about}
    losses = {loss: classes for loss, classes in LOSSES.items() if classes > 2}
    assert needed.pop(("apgd", "loss")) == losses
    stages = {name: losses.get(stage.fixed.get("loss")) for name, stage in STAGES.items()}
    assert needed.pop(("autoattack", "attacks")) == {name: classes for name, classes in stages.items() if classes}
    assert not needed


APGD = {"method": "apgd", "norm": "l2", "eps": 1, "loss": "dlr"}
TWO = {"dataset": "two", "models": ["vgg5-plain-s2"], "attack": "all"}


@pytest.mark.parametrize(
    ("attack", "figures", "message"),
    [
        (ALL, {"fig9": TWO}, r"fig9\.attack: attacks 'apgd_t' of attack 'all' needs 4 classes or more, 'two' has 2: "),
        (ALL, {"fig11": TWO}, r"fig11\.attack: attacks 'apgd_t' .*: set `attacks: \[apgd_ce, fab_t, square\]`$"),
        (
            ALL,
            {"accuracy": {"evaluations": [{"datasets": ["ten", "two"], "attacks": ["all"]}]}},
            r"accuracy\.evaluations\.0\.attacks: attacks 'apgd_t' .* 'two' has 2",
        ),
        (APGD, {"fig9": TWO}, r"fig9\.attack: loss 'dlr' of attack 'all' needs 3 classes or more, .*: set `loss: ce`$"),
    ],
)
def test_an_attack_that_needs_more_classes_than_there_are(place, attack, figures, message):
    with pytest.raises(ValueError, match=r"^configuration: figures\." + message):
        place.plan(attack={"attacks": {"all": attack}}, figures=figures)


def test_an_attack_of_a_target_that_needs_more_classes(place):
    found = place.plan(
        attack={"attacks": {"all": ALL, "some": ALL | {"attacks": ["apgd_ce", "fab_t", "square"]}}}, figures={}
    )
    check_targets(found, ["results/attack/ten/vgg5-plain-s0/all.parquet"])
    check_targets(found, ["results/attack/two/vgg5-plain-s2/some.parquet"])
    with pytest.raises(
        ValueError, match=r"^target '.*': attack\.attacks: attacks 'apgd_t' of attack 'all' needs 4 classes"
    ):
        check_targets(found, ["results/attack/two/vgg5-plain-s2/all.parquet"])


# Images


def test_the_schema_has_the_images_that_measures_need():
    limits = {(method, key): about["images"] for method, key, about in options("measures") if "images" in about}
    near = {"jaccard", "rank", "rank_jaccard", "mutual_knn", "cknna", "imd"}
    assert {method for method, _ in limits} == near | {"rtd", "rtd_lite", "rsa"}
    for (method, key), more in limits.items():
        assert measures.get(method).min_images(4, **{key: 50}) >= 50 + more
    for method, measure in measures.MEASURES.items():  # no other option does
        for key, value in measure.options.items():
            if isinstance(value, int) and not isinstance(value, bool) and (method, key) not in limits:
                assert measure.min_images(4, **{key: 50}) == measure.min_images(4)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (
            {"figures": {"fig2": PAIRS | {"measures": ["near"]}}, "represent": {"sample": 3}},
            r"fig2\.measures: k 3 of measure 'near' needs 4 images, represent\.sample is 3$",
        ),
        (
            {"figures": {"fig3": PAIRS | {"measures": ["near"]}}, "invert": {"images": 3}},
            r"fig3\.measures: k 3 of measure 'near' needs 4 images, invert\.images is 3$",
        ),
        (
            {"figures": {"fig15": PAIRS | {"measures": ["near"]}}, "invert": {"images": 3}},
            r"fig15\.measures: k 3 of measure 'near' needs 4 images, invert\.images is 3$",
        ),
        (
            {
                "figures": {"fig2": PAIRS | {"measures": ["rtd"]}},
                "represent": {"sample": 400},
                "compare": {"measures": {"rtd": {}}},
            },
            r"fig2\.measures: points 500 of measure 'rtd' needs 500 images, represent\.sample is 400$",
        ),
    ],
)
def test_a_measure_that_needs_more_images_than_are_represented(place, blocks, message):
    with pytest.raises(ValueError, match=r"^configuration: figures\." + message):
        place.plan(**blocks)


def test_images_suffice_where_they_do(place):
    figures = {"fig2": PAIRS | {"measures": ["near"]}}
    found = place.plan(figures=figures, represent={"sample": 4}, invert={"images": 3})
    check_targets(found, ["results/compare/ten/group/natural/near/vgg5-plain-s0.parquet"])
    with pytest.raises(
        ValueError, match=r"compare\.measures: k 3 of measure 'near' needs 4 images, invert\.images is 3$"
    ):
        check_targets(found, ["results/compare/ten/group/inverted/near/vgg5-plain-s0.parquet"])


# Steps, epochs, bases, mixtures


@pytest.mark.parametrize("block", ["effectiveness", "convergence"])
@pytest.mark.parametrize("steps", [[10, 1], [1, 1]])
def test_steps_that_do_not_ascend(place, block, steps):
    with pytest.raises(ValueError, match=rf"^configuration: attack\.{block}\.steps must ascend, got \[1"):
        place.plan(attack={"attacks": {"weak": ATTACK}, block: {"steps": steps}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"checkpoints": [0, 1]}, r"checkpoints: epochs \[1\] are never reached, the last of 1 is 0$"),
        (
            {"validation": {"select": "best"}},
            r"validation\.select is 'best', but validation\.every 0 measures none",
        ),
    ],
)
def test_a_recipe_that_asks_for_epochs_that_it_has_not(place, changes, message):
    attack = {"norm": "l2", "eps": 1, "steps": 1}
    place.recipe("robust", {"extends": "plain", "loss": "adversarial", "attack": attack} | changes)
    place.models([*MODELS, ("ten", "vgg5", "robust", 0, "l2", 1)])
    with pytest.raises(ValueError, match=r"robust\.yaml: " + message):
        place.plan()


def test_a_mixture_needs_the_same_classes(place):
    place.recipe("mixed", {"extends": "plain", "mix": {"dataset": "two"}})
    place.models([*MODELS, ("ten", "vgg5", "mixed", 0)])
    message = r"^recipe 'mixed': mix\.dataset: 'two' has 2 classes, 'ten' of the model has 10$"
    with pytest.raises(ValueError, match=message):
        place.plan()


def test_a_model_that_starts_from_itself(place):
    path = place.folder / "models.tsv"
    head, first, second, *rest = path.read_text().splitlines()
    lines = [f"{head}\tbase", f"{first}\tvgg5-plain-s0", f"{second}\tresnet8-plain-s0", *(f"{row}\t" for row in rest)]
    path.write_text("\n".join(lines) + "\n")
    message = r"row 'resnet8-plain-s0', column base: leads back to itself, resnet8-plain-s0 -> vgg5-plain-s0 -> resnet8"
    with pytest.raises(ValueError, match=message):
        place.plan()


def test_names_of_a_grid_do_not_depend_on_the_order_of_its_options():
    """Laid over each other, two configurations give one that depends on which came first."""
    grid = {"through": ["base", "self"], "eps": ["1/255", "2/255"]}
    found = of_grid("a", {"method": "pgd", "grid": grid})
    assert found == of_grid("a", {"method": "pgd", "grid": dict(reversed(grid.items()))})
    assert [name for name, _ in found][1] == "a_eps1_255_throughself"
