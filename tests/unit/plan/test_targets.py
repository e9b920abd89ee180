"""Targets: every path of the rules is known, and a mistyped one says which part is wrong and what was meant."""

import re
from pathlib import Path

import pytest

from imports import ROOT
from mettle.plan import check_targets, targets
from workplace import ATTACK, BASE, DATASETS, Workplace

FIGURES = {
    "accuracy": {"evaluations": [{"datasets": ["ten"], "attacks": ["weak"]}]},
    "fig2": {"datasets": ["ten"], "eps": [0], "measures": ["cka"]},
}
TOKENS = {"kind": "tokens", "n": 2, "steps": 1, "batch_size": 4, "optimizer": {"lr": 0.1}}
TOKENS |= {"attack": {"norm": "linf", "eps": "8/255", "steps": 1}, "share_attack": True}
FOUNDATIONS = {"vit_mini": "plain", "dinov2_vits14": "large"}
NAMES = {
    "set": "group",
    "dataset": "ten",
    "packed": "roads",
    "foldered": "photos",
    "nyu": "rooms",
    "split": "test",
    "model": "vgg5-plain-s0",
    "trained": "vgg5-plain-s0",
    "kept": "vgg5-plain-s0",
    "judged": "vgg5-plain-s0",
    "hardened": "vit_mini-few-s0",
    "headed": "vit_mini-head-s0",
    "pictured": "resnet10t_half-dense-s0",
    "registered": "dinov2_vits14-few-s0",
    "submitted": "vgg5-robust-s0",
    "uploaded": "resnet10t-plain-s0",
    "attack": "weak",
    "drift": "weak",
    "model_b": "vgg5-plain-s0",
    "corruptions": "some-clean",
    "named": "some",
    "condition": "fog-3",
    "kind": "adversarial",
    "images": "inverted-vgg5-plain-s1",
    "compared": "inverted",
    "measure": "near",
    "groups": "confidence",
    "figure": "accuracy",
    "drawn": "fig2",
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    place = Workplace(tmp_path_factory.mktemp("place"))
    roads = "roads\tclassification, segmentation\t10\t96\tstreets\ttrain\ttest"
    place.datasets(
        DATASETS,
        "wide\tclassification\t10\t28\tdigits\ttrain\ttest",
        roads,
        "photos\tclassification\t3\t0\tfolder\t\tval",
        "rooms\tdepth\t\t0\tnyu\t\ttest\t1\t2",
    )
    place.recipe("few", TOKENS)
    place.robust("robust", "linf", "8/255")
    place.recipe("head", {"kind": "head"})
    place.recipe("dense", BASE | {"task": "segmentation", "input": BASE["input"] | {"size": 96}})
    place.recipe("large", BASE | {"input": BASE["input"] | {"size": 28}})
    place.models(
        [
            ("ten", "resnet8", "plain", 0),
            ("ten", "vgg5", "plain", 0),
            ("ten", "vgg5", "plain", 1),
            ("two", "vgg5", "plain", 2),
            ("ten", "vit_mini", "plain", 0),
            ("ten", "vgg5", "robust", 0, "linf", "8/255"),
            ("ten", "resnet10t", "plain", 0),
            ("ten", "vit_mini", "few", 0, "linf", "8/255"),
            ("ten", "vit_mini", "head", 0),
            ("roads", "resnet10t_half", "dense", 0),
            ("wide", "dinov2_vits14", "large", 0),
            ("wide", "dinov2_vits14", "few", 0, "linf", "8/255"),
        ],
        base={f"{arch}-few-s0": f"{arch}-{of}-s0" for arch, of in FOUNDATIONS.items()}
        | {"vit_mini-head-s0": "vit_mini-plain-s0"},
    )
    standard = {"method": "autoattack", "norm": "linf", "eps": "8/255"}
    attacks = {
        "weak": ATTACK,
        "standard": standard,
        "many": {"method": "pgd", "norm": "l2", "steps": 1, "grid": {"eps": [1, 2]}},
    }
    judges = {"judges": ["resnet8-plain-s0"]}
    drift = {"attacks": {"weak": {"norm": "linf", "eps": "8/255", "steps": 2}}}
    blocks = {"corrupt": {"corruptions": {"some": {}}}, "drift": drift, "figures": FIGURES}
    return place.plan(attack={"attacks": attacks, "perturbations": judges}, **blocks)


def made():
    """Paths below `results` that the rules make."""
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        for block in re.findall(r"\n    output:\n(.*?)\n    \w", file.read_text(encoding="utf-8"), re.DOTALL):
            yield from re.findall(r'"(results/[^"]+)"', block.replace("<results>", "results"))


def test_the_grammar_is_that_of_the_rules():
    known = {re.sub(r"\{(\w+)\}", lambda f: f"{{{targets._NARROWER.get(f[1], f[1])}}}", path) for path in targets.PATHS}
    assert known == set(made())


@pytest.mark.parametrize("path", targets.PATHS)
def test_every_form_is_known(plan, path):
    names = NAMES | {"dataset": "roads"} if "{pictured}" in path else NAMES
    if "{shared}" in path:
        images, _ = plan.shared_attack({"model": NAMES["hardened"]})
        names = NAMES | {"model": "vit_mini-plain-s0", "shared": Path(images).stem}
    check_targets(plan, [path.format(**names)])


def test_whatever_the_plan_asks_for_is_known(plan):
    asked = [*plan.targets(), *(path for figure in FIGURES for path in [*plan.cells(figure), *plan.beside(figure)])]
    assert len(asked) > 5
    check_targets(plan, asked)


WRONG = [
    (
        "results/train/vgg5-plain-s0/steps.parquet",
        r"'vgg5-plain-s0' has no robustness tokens: its training is in results/",
    ),
    (
        "results/train/vit_mini-few-s0/epochs.parquet",
        r"'vit_mini-few-s0' has robustness tokens, which are trained by s",
    ),
    (
        "results/train/vit_mini-few-s0/dinov2.pth",
        r"'vit_mini-few-s0' is no row of robustness tokens for DINOv2, the onl",
    ),
    (
        "results/train/vit_mini-head-s0/epochs.parquet",
        r"'vit_mini-head-s0' is a head of classification, trained by updates: r",
    ),
    (
        "results/train/vgg5-plain-s0/heads.parquet",
        r"'vgg5-plain-s0' is no head of classification that is trained here, ",
    ),
    (
        "results/published/vgg5-plain-s0.json",
        r".*models.tsv, row 'vgg5-plain-s0': was trained without an attack, and a submission states a ball: state",
    ),
    (
        "results/published/vit_mini-few-s0.json",
        r".*models.tsv, row 'vit_mini-few-s0': only classifiers are handed on whose weights are one network",
    ),
    (
        "results/hub/vgg5-plain-s0",
        r".*models.tsv, row 'vgg5-plain-s0': 'vgg5' is not a network of timm, and results/hub is in the form of timm",
    ),
    ("results/hub/vgg5-plain-s9", r"unknown model 'vgg5-plain-s9': did you mean 'vgg5-plain-s"),
    ("results/layers/ten/vgg5-plain-s9.parquet", r"unknown model 'vgg5-plain-s9': did you mean 'vgg5-plain-s"),
    (
        "results/compare_layers/ten/cka/vgg5-plain-s0/vgg5-plain-s2.parquet",
        r"'vgg5-plain-s2' is a model of 'two', not of 'ten'",
    ),
    ("results/compare_layers/ten/ckaa/vgg5-plain-s0/vgg5-plain-s0.parquet", r"unknown measure 'ckaa': did you mean"),
    ("results/activations/ten/vgg5-plain-s0/waek.surface.parquet", r"unknown attack 'waek': did you mean 'weak'\?"),
    ("results/drift/ten/vgg5-plain-s0/waek.parquet", r"unknown attack 'waek': did you mean 'weak'\?"),
    (
        "results/drift/ten/vgg5-plain-s0/fierce.parquet",
        r"unknown attack 'fierce': attacks on features are the entries of",
    ),
    ("results/figures/fgi2.pdf", r"unknown figure 'fgi2': did you mean 'fig2'\?"),
    ("results/tables/acuracy.parquet", r"unknown figure 'acuracy': did you mean 'accuracy'\?"),
    ("results/figures/fig3.pdf", r"figure 'fig3' is not configured: add it to `figures`"),
    ("results/figures/accuracy.pdf", r"'accuracy' is a table without a drawing: results/tables/accuracy\.html"),
    ("results/figures/fig2.svg", r"results/figures holds \{figure\}\.pdf, \{figure\}\.png"),
    ("results/atack/ten/vgg5-plain-s0/weak.parquet", r"unknown stage 'atack': did you mean 'attack'\?"),
    ("results/attack/tne/vgg5-plain-s0/weak.parquet", r"unknown data set 'tne': did you mean 'ten'\?"),
    (
        "results/attack/imagenet/vgg5-plain-s0/weak.parquet",
        r"unknown data set 'imagenet': data sets are rows of .*datasets",
    ),
    ("results/attack/ten/vgg5-plane-s0/weak.parquet", r"unknown model 'vgg5-plane-s0': did you mean 'vgg5-plain-s0'\?"),
    ("results/attack/ten/mine/weak.parquet", r"unknown model 'mine': models are rows of .*models\.tsv"),
    ("results/attack/ten/vgg5-plain-s2/weak.parquet", r"'vgg5-plain-s2' is a model of 'two', not of 'ten'"),
    ("results/attack/ten/vgg5-plain-s0/waek.parquet", r"unknown attack 'waek': did you mean 'weak'\?"),
    (
        "results/attack/ten/vgg5-plain-s0/fierce.parquet",
        r"unknown attack 'fierce': attacks are the entries of attack\.attac",
    ),
    (
        "results/attack/ten/vgg5-plain-s0/many.parquet",
        r"attack 'many' has a grid: name one of its cells, many_eps1, many_e",
    ),
    (
        "results/attack/ten/vgg5-plain-s0/square.parquet",
        r"'square' is a method: add an entry with `method: square` to attac",
    ),
    ("results/attack/ten/weak.parquet", r"results/attack holds \{dataset\}/\{model\}/\{attack\}\.parquet"),
    ("results/attack", r"results/attack holds "),
    ("results/compare/ten/group/natural/ckaa/vgg5-plain-s0.parquet", r"unknown measure 'ckaa': did you mean 'cka'\?"),
    (
        "results/compare/ten/group/natural/cka_rbf/vgg5-plain-s0.parquet",
        r"measure 'cka_rbf' is not configured: add `cka_rbf: \{\}` to compare\.measures",
    ),
    (
        "results/compare/ten/group/train/cka/vgg5-plain-s0.parquet",
        r"unknown image set 'train'; known: inverted, natural",
    ),
    (
        "results/compare/ten/group/natural/cka/vgg5-plain-s0.csv",
        r"results/compare holds \{dataset\}/\{set\}/\{images\}/\{measure\}/",
    ),
    (
        "results/subgroups/ten/group/natural/agrement/cka/vgg5-plain-s0.parquet",
        r"unknown groups 'agrement': did you mean 'agreement'\?",
    ),
    ("results/represent/ten/natral/vgg5-plain-s0.parquet", r"unknown image set 'natral': did you mean 'natural'\?"),
    ("results/represent/ten/inverted-vgg/vgg5-plain-s0.parquet", r"unknown model 'vgg': models are rows of"),
    (
        "results/represent/ten/crossed/group/vgg-plain-s0",
        r"unknown model 'vgg-plain-s0': did you mean 'vgg5-plain-s0'\?",
    ),
    ("results/train/vgg5-plain-s0/weights.pt", r"results/train holds \{model\}/weights\.safetensors, .*/checkpoints"),
    ("results/train/vgg-plain-s0/epochs.parquet", r"unknown model 'vgg-plain-s0': did you mean 'vgg5-plain-s0'\?"),
    ("results/prep/ten/val.lmdb", r"unknown split 'val'; known: test, train"),
    ("results/prep/roads/val.targets.lmdb", r"unknown split 'val'; known: test, train"),
    ("results/prep/raods/test.targets.lmdb", r"unknown data set 'raods': did you mean 'roads'\?"),
    ("results/dinov2/ten", r"'ten' is read by 'digits': this is for data sets of reader 'folder'$"),
    ("results/mmseg/roads", r"'roads' is read by 'streets': this is for data sets of reader 'nyu'$"),
    ("results/mmseg/rooom", r"unknown data set 'rooom': did you mean 'rooms'\?"),
    ("results/prep/ten/test.targets.lmdb", r"'ten' has only labels, which are in its manifest, \{split\}\.parquet$"),
    ("results/probe/ten/vgg-plain-s0.epochs.parquet", r"unknown model 'vgg-plain-s0': did you mean 'vgg5-plain-s0'\?"),
]


@pytest.mark.parametrize(("path", "message"), WRONG, ids=[path for path, _ in WRONG])
def test_what_is_wrong_with_a_target(plan, path, message):
    with pytest.raises(ValueError, match=f"^target '{re.escape(path)}': {message}") as caught:
        check_targets(plan, [path])
    assert "\n" not in str(caught.value)


def test_a_converted_model_has_no_epochs(plan, monkeypatch):
    monkeypatch.setitem(plan.models["vgg5-plain-s1"], "source", "resources/some.pt")
    check_targets(plan, ["results/train/vgg5-plain-s1/weights.safetensors"])
    with pytest.raises(ValueError, match=r"'vgg5-plain-s1' is converted, not trained: it has weights only$"):
        check_targets(plan, ["results/train/vgg5-plain-s1/epochs.parquet"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["results/figures/gif2.pdf"],
        ["-n", "--cores", "2", "./results/figures/gif2.pdf"],
        ["results//figures/gif2.pdf/", "all"],
        ["--until", "attack", "results/figures/gif2.pdf"],
        ["--forcerun=results/figures/gif2.pdf"],
        ["-R", "results/figures/gif2.pdf", "--cores", "1"],
        ["--report", "results/report.html", "--cores", "1", "--", "results/figures/gif2.pdf"],
    ],
)
def test_targets_are_found_on_the_command_line(plan, arguments):
    with pytest.raises(ValueError, match=r"^target 'results/figures/gif2\.pdf': unknown figure 'gif2'"):
        check_targets(plan, arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["all", "attack", "gif2", "figures/gif2.pdf", "/other/results/figures/gif2.pdf", "resources/downloads/x"],
        ["--report", "results/figures/gif2.html"],
        ["--report=results/figures/gif2.html", "--archive", "results/tables/x.tar"],
        ["--cleanup-metadata", "results/figures/gif2.pdf", "results/figures/gif3.pdf"],
        ["results/mine/page.html", "results/report.html", "results", "results/README.md"],
        ["--config", "out=results/figures/gif2.pdf"],
    ],
)
def test_what_is_no_target_of_ours_is_left_to_snakemake(plan, arguments):
    check_targets(plan, arguments)
