"""Rows of robustness tokens and of networks without a head: what jobs are told, and what is refused."""

from pathlib import Path

import pytest

from workplace import BASE, Workplace

BACKBONE, HARD = "vit_mini-plain-s0", "vit_mini-few-s0"
AT = {"model": HARD, "dataset": "ten"}
TOKENS = {
    "kind": "tokens",
    "n": 4,
    "steps": 5,
    "batch_size": 8,
    "optimizer": {"lr": 0.1},
    "attack": {"norm": "linf", "eps": "8/255", "steps": 3},
}
WEAK = {"norm": "linf", "eps": "4/255", "steps": 2}


def attacked(**own):
    """The recipe with another attack."""
    return {"recipe": TOKENS | {"attack": TOKENS["attack"] | own}}


PGD = {"method": "pgd", "norm": "linf", "eps": "8/255", "steps": 2}


def weights(*names):
    return [f"results/train/{name}/weights.safetensors" for name in names]


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path)


def plan(place, **own):
    """A plan of rows without cells for threat and eps, which then follow from the recipes."""
    place.recipe("few", own.pop("recipe", TOKENS))
    base, arch, source = own.pop("base", BACKBONE), own.pop("arch", "vit_mini"), own.pop("source", "train")
    more = own.pop("more", "")
    lines = ["model\tdataset\tarch\trecipe\tseed\tsource\tbase\ttransfer"]
    lines += [f"{d}\tten\t{d}\tplain\t0\ttrain\t\t" for d in ("resnet8", "vgg5")]
    lines += [f"{BACKBONE}\tten\tvit_mini\tplain\t0\ttrain\t\t"]
    lines += [f"{HARD}\tten\t{arch}\tfew\t0\t{source}\t{base}\t{more}"]
    (place.folder / "models.tsv").write_text("\n".join(lines) + "\n")
    return place.plan(**own)


def test_tokens_are_told_their_recipe_and_have_input_task_and_ball_of_base_and_recipe(place):
    found = plan(place)
    assert (found.hardened, found.trained) == ([HARD], ["resnet8", "vgg5", BACKBONE])
    assert found.tokens_recipe(AT)["n"] == 4 and "input" not in found.tokens_recipe(AT)
    assert found.preprocessing(AT)["input"] == found.preprocessing({"model": BACKBONE})["input"]
    row = found.tokens_row(AT)
    assert (row["base"], row["threat"], row["eps"]) == (BACKBONE, "linf", 8 / 255)
    assert found.base_weights(AT) == found.stands_on(AT) == weights(BACKBONE)
    assert found.stands_on({"model": BACKBONE}) == [] and found.task_of(HARD) == "classification"


def test_cells_get_the_weights_that_tokens_stand_on(place):
    drift = {"attacks": {"weak": WEAK, "self": WEAK | {"through": "self"}, "other": WEAK | {"through": BACKBONE}}}
    found = plan(place, drift=drift)
    through = {name: found.through_weights(AT | {"drift": name}) for name in drift["attacks"]}
    assert through == {"weak": weights(BACKBONE), "self": weights(HARD, BACKBONE), "other": weights(BACKBONE)}
    plain = {"model": BACKBONE, "dataset": "ten"}
    assert {*map(found.attacked_through, [plain | {"drift": name} for name in drift["attacks"]])} == {BACKBONE}
    assert found.foundation_weights(AT) == weights(BACKBONE)
    assert "through" not in found.drift(AT | {"drift": "self"})


def test_attacks_on_answers_go_through_another_model_too(place):
    entries = {"weak": PGD, "base": PGD | {"through": "base"}, "vgg": PGD | {"through": "vgg5"}}
    found = plan(place, attack={"attacks": entries})
    seen = {name: found.surrogate(AT | {"attack": name}) for name in entries}
    assert seen == {"weak": [], "base": weights(BACKBONE), "vgg": weights("vgg5")}
    assert found.surrogate({"model": "vgg5", "attack": "vgg"}) == []
    assert found.surrogate({"model": "vgg5", "attack": "base"}) == [], "it stands on nothing"
    told = found.attack(AT | {"attack": "vgg"})
    assert told == found.attack(AT | {"attack": "weak"}), "the model is an input"
    with pytest.raises(ValueError, match=r"attack\.attacks\.vgg\.through is 'vgg5', but images are kept of "):
        found.attack_through_itself(AT | {"attack": "vgg"})


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"base": ""}, r"row '.*': column base is empty: name the row whose network the tokens are for$"),
        ({"arch": "resnet8"}, r": the base '.*' has architecture 'vit_mini', the row 'resnet8': tokens are "),
        ({"base": HARD}, r"column base: leads back to itself"),
        ({"more": "fixed"}, r": column transfer is 'fixed', but tokens leave their base as it is: empty it$"),
        (attacked(through="vgg5"), r"few\.yaml: attack\.through is 'vgg5', but"),
        (attacked(norm="l2", rounding=True), r"few\.yaml: attack\.round.*l2"),
        ({"recipe": TOKENS | {"optimizer": {"lr": 1, "warmup_steps": 5}}}, r"few\.yaml: optimizer\.warmup_steps is 5"),
        ({"recipe": attacked(through="self")["recipe"] | {"share_attack": True}}, r"few\.yaml: share_attack is true"),
        (attacked(eps=0), r"few\.yaml: 'attack\.eps' must be more than 0"),
        ({"recipe": TOKENS | {"n": -1}}, r"few\.yaml: 'n' must be at least 0, got -1$"),
        ({"recipe": TOKENS | {"step": 4}}, r"few\.yaml: unknown key 'step': did you mean 'steps'"),
        ({"recipe": BASE | {"kind": "token"}}, r"few\.yaml: 'kind' is 'token': did you mean 'tokens'\?$"),
        ({"drift": {"attacks": {"weak": WEAK | {"eps": 8}}}}, r"drift\.attacks\.weak: 'eps' must be at most"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(place, own, message):
    with pytest.raises(ValueError, match=message):
        plan(place, **own)


def test_rows_that_differ_in_their_number_share_attacked_images(place):
    lone = plan(place)
    assert lone.shared_attack(AT) == []
    told = lone.tokens_recipe(AT)
    found = plan(place, recipe=TOKENS | {"share_attack": True})
    images, table = found.shared_attack(AT)
    assert images.startswith(f"results/train/{BACKBONE}/attacked/") and table == images.replace(".npy", ".parquet")
    assert found.tokens_recipe(AT) == told, "the tokens are the same"
    shared = {"model": BACKBONE, "shared": Path(images).stem}
    attack = found.attack_to_share(shared)
    assert attack == {"seed": 0} | {key: told[key] for key in ("steps", "batch_size", "precision", "attack")}
    for same in ({"n": 8}, {"invariance": 3}, {"optimizer": {"lr": 1}}, {"position": "registers"}):
        assert plan(place, recipe=TOKENS | {"share_attack": True} | same).shared_attack(AT) == [images, table]
    for other in ({"steps": 6}, {"batch_size": 4}, {"precision": "bf16"}, {"attack": WEAK}):
        assert plan(place, recipe=TOKENS | {"share_attack": True} | other).shared_attack(AT) not in (
            [],
            [images, table],
        )
    assert plan(place, recipe=TOKENS | {"share_attack": True, "steps": 0}).shared_attack(AT) == []
    with pytest.raises(
        ValueError, match=rf"^no row of tokens on '{BACKBONE}' shares attacked images '.*', but none: share"
    ):
        lone.attack_to_share(shared)


def test_a_ball_of_normalised_pixels_is_not_one_of_attacks_on_answers(place):
    own = {"attacks": {"weak": {"method": "pgd", "norm": "own", "eps": "own", "steps": 2}}}
    found = plan(place, **attacked(norm="linf_normalised"), attack=own)
    assert found.tokens_row(AT)["threat"] == "linf_normalised"
    with pytest.raises(
        ValueError, match=r"attack\.attacks\.weak: is in the model's own ball, but that of '.*' is of linf_"
    ):
        found.attack(AT | {"attack": "weak"})


def test_tokens_do_not_stand_on_tokens(place):
    found = plan(place)
    lines = (place.folder / "models.tsv").read_text()
    (place.folder / "models.tsv").write_text(lines + f"more\tten\tvit_mini\tfew\t0\ttrain\t{HARD}\t\n")
    with pytest.raises(ValueError, match=rf"the base '{HARD}' has tokens itself: name the row that it stands on$"):
        place.plan()
    assert found.has_tokens(HARD)


def test_an_attack_through_a_model_of_other_images_is_refused(place):
    place.recipe("wide", BASE | {"input": BASE["input"] | {"size": 64, "resize": 64}})
    place.recipe("few", TOKENS)
    lines = ["model\tdataset\tarch\trecipe\tseed\tsource\tbase", f"{BACKBONE}\tten\tvit_mini\tplain\t0\ttrain\t"]
    lines += [f"{HARD}\tten\tvit_mini\tfew\t0\ttrain\t{BACKBONE}", "wide\tten\tvit_mini\twide\t0\ttrain\t"]
    (place.folder / "models.tsv").write_text("\n".join(lines) + "\n")
    found = place.plan(drift={"attacks": {"weak": WEAK | {"through": "wide"}}})
    with pytest.raises(
        ValueError, match=r"drift\.attacks\.weak\.through: 'wide' has another size than '.*': name anoth"
    ):
        found.through_weights(AT | {"drift": "weak"})


def test_networks_without_a_head_are_converted_and_not_scored(place):
    head = "model\tdataset\tarch\ttask\tseed\tsource\tsize\tmean\tstd"
    rows = ["resnet8\tten\tresnet8\t\t\tr.pth\t32\t0.5,0.5,0.5\t0.2,0.2,0.2"]
    rows += ["dino\tten\tdinov2_vits14\tfeatures\t\td.pth\t28\t0.5,0.5,0.5\t0.2,0.2,0.2"]
    (place.folder / "models.tsv").write_text("\n".join([head, *rows]) + "\n")
    place.datasets([("ten", 10)])
    with pytest.raises(ValueError, match=r"images of 'ten' have 32 pixels a side, but the network takes 28"):
        place.plan()
    rows[1] = rows[1].replace("\t28\t", "\t224\t")
    (place.folder / "models.tsv").write_text("\n".join([head + "\tresize", rows[0] + "\t", rows[1] + "\t224"]) + "\n")
    found = place.plan()
    assert found.converted == ["resnet8", "dino"] and found.listed == ["resnet8"]
    assert found.converted_row({"model": "dino"})["classes"] == 0 and found.task_of("dino") == "features"
    with pytest.raises(ValueError, match=r"row 'dino': has no head, so it has no answers that can be scored$"):
        found.scored_store({"model": "dino", "dataset": "ten"})


def test_an_attack_through_an_unknown_model_is_refused_where_it_is_asked_for(place):
    drift = {"attacks": {"weak": WEAK | {"through": "vgg6"}}}
    found = plan(place, drift=drift, attack={"attacks": {"weak": PGD | {"through": "x"}}})
    with pytest.raises(
        ValueError, match=r"drift\.attacks\.weak\.through: unknown model 'vgg6': did you mean 'vgg5'\?$"
    ):
        found.through_weights(AT | {"drift": "weak"})
    with pytest.raises(ValueError, match=r"attack\.attacks\.weak\.through: unknown model 'x'"):
        found.surrogate(AT | {"attack": "weak"})


def test_models_of_dense_tasks_have_no_tokens_and_no_features_to_attack(place):
    """Rows of segmentation on the network that tokens are for."""
    dense = {key: BASE[key] for key in ("epochs", "batch_size", "optimizer", "schedule")}
    place.recipe("maps", dense | {"task": "segmentation", "input": {"size": 64, "mean": [0.5] * 3, "std": [0.2] * 3}})
    place.datasets([("ten", 10)], "lanes\tclassification, segmentation\t10\t64\tstreets\ttrain\ttest")
    place.recipe("few", TOKENS)
    lines = ["model\tdataset\tarch\trecipe\tseed\tsource\tbase", "net\tten\tresnet8\tplain\t0\ttrain\t"]
    lines += ["maps\tlanes\tvit_mini\tmaps\t0\ttrain\t"]
    (place.folder / "models.tsv").write_text("\n".join(lines) + "\n")
    found = place.plan(drift={"attacks": {"weak": WEAK}})
    with pytest.raises(
        ValueError, match=r"row 'maps': is a model of segmentation, but features are compared of classif"
    ):
        found.through_weights({"model": "maps", "dataset": "lanes", "drift": "weak"})
    lines += ["hard\tlanes\tvit_mini\tfew\t0\ttrain\tmaps"]
    (place.folder / "models.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(
        ValueError, match=r"row 'hard': the base 'maps' is a model of segmentation: tokens are for its ba"
    ):
        place.plan()
