"""Rows that start from a base, and recipes with PRIME and views: what jobs are told, and what is refused."""

import pytest

from mettle import schema
from workplace import BASE, MODELS, Workplace

BACKBONE, MODEL = "vgg5-plain-s0", "vgg5-plain-s1"
DEFAULTS = schema.filled({"augment": {"prime": {}}}, "recipe")["augment"]["prime"]
AT = {"model": MODEL}


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def plan(place, transfer, base=BACKBONE, source="train", recipe=BASE):
    place.recipe("plain", recipe)
    place.models(MODELS, source={MODEL: source}, base={MODEL: base}, transfer={MODEL: transfer})
    return place.plan()


@pytest.mark.parametrize("transfer", ["full", "fixed", "fixed_paper", "full_prime"])
def test_jobs_are_told_how_the_base_is_used(place, transfer):
    found = plan(place, transfer)
    row = found.trained_row(AT)
    assert (row["base"], row["transfer"]) == (BACKBONE, transfer)
    assert found.base_weights(AT) == [f"results/train/{BACKBONE}/weights.safetensors"]
    assert "transfer" not in found.trained_row({"model": BACKBONE})
    assert ("prime" in found.recipe(AT)["augment"]) == (transfer == "full_prime")


def test_full_prime_takes_the_defaults_or_what_the_recipe_says(place):
    found = plan(place, "full_prime")
    assert found.recipe(AT)["augment"]["prime"] == DEFAULTS
    assert "prime" not in found.recipe({"model": BACKBONE})["augment"], "of the same recipe"
    own = BASE | {"augment": {"prime": {"width": 5, "color": {"cut": 9}}}}
    told = plan(place, "full_prime", recipe=own).recipe(AT)["augment"]["prime"]
    assert told == DEFAULTS | {"width": 5, "color": DEFAULTS["color"] | {"cut": 9}}
    assert told == plan(place, "full", recipe=own).recipe(AT)["augment"]["prime"]


def test_the_defaults_are_those_of_the_authors_for_imagenet():
    assert (DEFAULTS["width"], DEFAULTS["depth"], DEFAULTS["random_depth"]) == (3, 3, True)
    assert DEFAULTS["color"] == {"cut": 500, "variance": 0.05, "bandwidth": 20}
    assert DEFAULTS["filter"] == {"radius": 1, "sigma": 4, "off_centre": False}
    assert DEFAULTS["diffeomorphism"] == {"cut_min": 2, "cut_max": 500, "alpha": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"base": ""}, r"column transfer is 'fixed', but column base is empty: name the row whose weights training"),
        (
            {"source": "a.pt"},
            r"column transfer is 'fixed', but nothing is trained, since source is 'a\.pt': leave it em",
        ),
        ({"transfer": "fixd"}, r"'transfer' is 'fixd': did you mean 'fixed'\?$"),
        ({"base": "vgg5-plain-s9"}, r"column base: unknown model 'vgg5-plain-s9': did you mean "),
    ],
)
def test_a_row_that_cannot_be(place, row, message):
    with pytest.raises(ValueError, match=rf"models\.tsv, .*row '{MODEL}'.*{message}"):
        plan(place, **{"transfer": "fixed"} | row)


def test_full_prime_of_a_recipe_whose_views_are_by_augmix(place):
    views = BASE | {"loss": "jsd", "augment": {"auto_augment": "augmix-m1-w3"}}
    assert plan(place, "full", recipe=views).recipe(AT)["loss"] == "jsd"
    with pytest.raises(
        ValueError, match=rf"row '{MODEL}', transfer 'full_prime': loss 'jsd' compares an image with two"
    ):
        plan(place, "full_prime", recipe=views)


JSD = (
    r"plain\.yaml: loss 'jsd' compares an image with two augmented views of it: let either augment\.prime or augment\."
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "jsd"}, JSD),
        ({"loss": "jsd", "augment": {"prime": {}, "auto_augment": "augmix-m1-w3"}}, JSD),
        (
            {"loss": "jsd", "augment": {"prime": {}}, "attack": {"norm": "l2", "eps": 1, "steps": 1}},
            r"needs no `attack`",
        ),
        ({"jsd_weight": 3}, r"plain\.yaml: jsd_weight does nothing where loss is \"standard\": take it out, or change"),
        (
            {"augment": {"prime": {"diffeomorphism": {"cut_min": 9, "cut_max": 9}}}},
            r"augment\.prime\.diffeomorphism\.cut_min is 9, but must be less than cut_max, 9$",
        ),
        ({"augment": {"prime": {"primitives": []}}}, r"'augment\.prime\.primitives' needs at least 1 entry, got \[\]$"),
        (
            {"augment": {"prime": {"primitives": ["colour"]}}},
            r"'augment\.prime\.primitives\.0' is 'colour': did you mean",
        ),
        ({"augment": {"prime": {"width": 0}}}, r"'augment\.prime\.width' must be at least 1, got 0$"),
        (
            {"augment": {"prime": {"filter": {"sgima": 1}}}},
            r"unknown key 'augment\.prime\.filter\.sgima': did you mean 's",
        ),
    ],
)
def test_a_recipe_that_cannot_be(place, changes, message):
    with pytest.raises(ValueError, match=message):
        plan(place, "full", recipe=BASE | changes)
