"""A small tree that uses every rule, and one change for every key of the configuration, of a recipe and of a sheet."""

import json
import pickle
import shutil
from functools import cache, cached_property
from unittest import mock

import yaml

from mettle import schema
from mettle.plan import Plan
from mettle.plan.idle import known
from told import jobs

NAMES, CHECK = schema.names, schema.check
Change = tuple[str, dict, dict]  # key, what all jobs are told before, and after
PGD = {"method": "pgd", "norm": "linf", "eps": "8/255", "steps": 2}
FELT = {"norm": "linf", "eps": "8/255", "steps": 2}
PAIRS = {"datasets": ["digits", "photos"], "eps": [0, "8/255"], "threat": "linf"}
TWO = ["resnet8-robust-s0", "vgg5-robust-s0"]
OWN = {"evaluations": [{"datasets": ["digits"], "attacks": ["own"]}], "eps": [0, "8/255"], "threat": "linf"}
OWN |= {"numbers": "published.tsv"}
OF_DIGITS = {"dataset": "digits", "models": TWO}
CROSSED = [*TWO, "resnet8-plain-s0"]
CONFIG = {
    "plugins": ["raw/plugin.py"],
    "sweeps": ["grid", "wide"],
    "sets": {"two": {"models": TWO, "across": True}},
    "train": {"loggers": ["tensorboard", "wandb"]},
    "attack": {
        "attacks": {
            "weak": PGD,
            "strong": PGD | {"steps": 20},
            "own": PGD | {"norm": "own", "eps": "own", "relative_step": 2},
            "more": {"method": "autoattack", "norm": "linf", "grid": {"eps": ["4/255", "8/255"]}},
            "seen": PGD | {"grid": {"through": ["vit", "vit-hard"]}},
            "both": PGD | {"grid": {"through": ["resnet50-bare-s0", "self"]}},
            "glimpsed": PGD | {"grid": {"through": ["vit", "self"]}},
            "both_ways": PGD | {"steps": 3, "grid": {"through": ["base", "self"]}},
            "sighted": PGD | {"grid": {"through": ["base", "self"]}},
            "nearest": {"method": "fmn", "norm": "linf", "eps": "16/255"},
            "direct": {"method": "ddn", "norm": "l2", "eps": 2},
            "whole": {"method": "autoattack", "norm": "own", "eps": "own"},
            "most": {"method": "autoattack", "norm": "linf", "grid": {"eps": ["4/255", "8/255"]}},
        },
        "effectiveness": {"steps": [1, 2, 5]},
        "convergence": {"steps": [0, 1, 2]},
        "perturbations": {"judges": ["resnet8-plain-s0", "vgg5-plain-s0", "resnet50-bare-s0"]},
    },
    "corrupt": {
        "corruptions": {
            "some": {"types": ["noise"], "severities": [1, 2]},
            "kept": {"types": ["frost"], "severities": [3], "frosts": "raw/other", "stored": True},
        }
    },
    "drift": {"attacks": {"felt": FELT, "self": FELT | {"through": "self"}}},
    "invert": {"lists": {"packed": {"seeds": "lists/two.txt"}}},
    "compare": {
        "permutations": 19,
        "measures": {"cka": {}, "near": {"method": "jaccard", "k": 3}, "far": {"method": "jaccard", "k": 9}},
    },
    "figures": {
        "accuracy": {"evaluations": [{"datasets": ["digits", "photos", "part"], "attacks": ["weak", "strong"]}]},
        "fig1": OF_DIGITS,
        "fig2": PAIRS | {"measures": ["cka", "near"]},
        "fig3": PAIRS | {"measures": ["cka", "near"]},
        "fig4": PAIRS,
        "fig5": {"dataset": "digits", "eps": [0, "8/255"], "threat": "linf", "measures": ["cka", "near"]},
        "fig6": {"dataset": "photos", "eps": [0, "8/255"], "threat": "linf"},
        "fig7": OF_DIGITS,
        "fig8": OF_DIGITS,
        "fig9": OF_DIGITS | {"attack": "more"},
        "fig10": {"sweep": "grid", "attacks": ["weak", "strong"]},
        "fig11": OF_DIGITS | {"attack": "weak"},
        "fig12": {"models": TWO},
        "fig13": PAIRS,
        "fig14": PAIRS | {"measures": ["near", "far"]},
        "fig15": PAIRS | {"measures": ["near", "far"]},
        "corruptions": {"dataset": "digits", "corruptions": "some"},
        "robustness": {"datasets": ["digits"], "corruptions": "some", "models": TWO},
        "transfer": {"datasets": ["lanes"], "corruptions": "some"},
        "prime": {"datasets": ["lanes"], "corruptions": "some"},
        "curves": OF_DIGITS | {"attack": "nearest", "attacks": ["more"]},
        "surrogates": {"dataset": "digits", "models": ["vit", "vit-hard"], "attack": "seen"},
        "frontier": {"dataset": "digits", "attack": "weak", "models": CROSSED},
        "profile": {"dataset": "digits", "attack": "weak", "models": CROSSED, "measures": ["cka"]},
        "tokens_training": {"models": ["vit-hard"], "numbers": "published.tsv"},
        "tokens_features": {"dataset": "digits", "models": ["vit-hard"], "attacks": ["felt"]},
        "tokens_downstream": {"models": ["vit-classes", "vit-classes-given"], "attack": "sighted"},
        "tokens_activations": {"dataset": "digits", "models": ["vit", "vit-hard"], "attack": "felt"},
        "tokens_corruptions": {"models": ["vit-classes"], "corruptions": "some"},
        "predictions": {"models": ["vit-maps"], "attack": "weak"},
        "atlas": {"dataset": "digits", "models": ["vit", *TWO], "measure": "near"},
        "layers": {"comparisons": [{"dataset": "digits", "models": ["vit", "resnet8-plain-s0"]}], "measure": "near"},
        "universality_accuracy": OWN,
        "published": {"attack": "more", "numbers": "published.tsv"},
    },
}
PLAIN = {
    "epochs": 3,
    "batch_size": 8,
    "optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0.1},
    "schedule": {"name": "cosine"},
    "input": {"size": 32, "resize": 40, "mean": [0.5] * 3, "std": [0.25] * 3},
    "augment": {"auto_augment": "augmix-m3"},
    "mix": {"dataset": "scenes"},
    "checkpoints": [0],
}
BALL = {"norm": "linf", "eps": "8/255", "steps": 1}
ROBUST = {"loss": "adversarial", "attack": BALL, "validation": {"every": 1}}
BARE = {key: value for key, value in PLAIN.items() if key != "mix"}
DENSE = {key: PLAIN[key] for key in ("epochs", "batch_size", "optimizer", "schedule")}
DENSE |= {"task": "segmentation", "input": {"size": 64, "mean": [0.5] * 3, "std": [0.25] * 3}}
RECIPES = {"plain": PLAIN, "robust": PLAIN | ROBUST, "bare": BARE, "again": BARE, "tough": BARE | ROBUST}
RECIPES |= {"dense": DENSE, "found": DENSE | {"task": "detection"}}
TOKENS = {"kind": "tokens", "n": 2, "steps": 3, "batch_size": 4, "optimizer": {"lr": 0.1}, "attack": FELT}
TOKENS |= {"share_attack": True}
HEAD = {"kind": "head", "lr": [0.1, 0.2], "holdout": 2, "augment": {"horizontal_flip": True}}
RECIPES |= {"hard": TOKENS, "probed": HEAD, "lined": DENSE | {"kind": "head", "linear": {}}}
RECIPES |= {"measured": RECIPES["lined"] | {"task": "depth"}}
TRAINING = [name for name, recipe in RECIPES.items() if recipe not in (TOKENS, HEAD)]
DATASETS = """
dataset|task|classes|size|reader|source|subset|names|train|test|parent|version|licence|sha256|home|map_classes|ignore|depth_min|depth_max|depth_unit|depth_crop
digits|classification|10|64|digits||||train|test||1|||
scenes|classification|10|64|scenes||||train|test||1|||
photos|classification|5|64|folder|raw/photos|lists/two.txt|lists/names.txt|train|test||1|free||somewhere
shapes|classification|5|64|folder|raw/photos||||test||1|||
part|classification|5|64|folder|raw/photos|lists/files.txt|||test|photos|1|||
packed|classification|10|64|cifar10_python|raw/packed.tar.gz|||train|test||1|||
maps|segmentation|5|0|pascal|raw/maps||||test||1||||6|255
far|depth||0|depth_folder|raw/far||||test||1||||||1|10|0.001
rooms|depth||0|nyu|raw/nyu||||test||1||||||1|10
roads|classification, depth|10|96|streets||||train|test||1||||||1|10
lanes|classification, segmentation, depth, detection|10|64|streets||||train|test||1||||11|255|1|10
"""
MODELS = """
model|label|dataset|arch|recipe|seed|source|sha256|format|base|apart|mirror|licence|reference|inverted|size|resize|interpolation|mean|std|transfer|task|part|published
resnet8-plain-s0||digits|resnet8|plain|0|train||||
vgg5-plain-s0||digits|vgg5|plain|0|train||||
resnet8-robust-s0||digits|resnet8|robust|0|train||||
vgg5-robust-s0||digits|vgg5|robust|0|train|||resnet8-robust-s0|
resnet18-bare-s0||photos|resnet18|bare|0|raw/a.pt||timm||
resnet18-tough-s0||photos|resnet18|tough|0|https://host/a.pt||timm|||https://mirror/a.pt|free|a paper
resnet50-bare-s0||photos|resnet50|bare|0|train||||
resnet50-tough-s0||photos|resnet50|tough|0|train|||resnet18-bare-s0|
resnet18-bare-s1||packed|resnet18|bare|1|raw/a.pt||timm||||||raw/i.pt
own||photos|raw/net.py:Net|||raw/a.pt||||yes|||||32|40|bilinear|0.5,0.5,0.5|0.25,0.25,0.25
plugged||photos|net_of_plugin|bare||raw/a.pt||||yes
trained||photos|net_of_plugin|bare|0|train||||yes
resnet18-dense-s0||lanes|resnet18|dense|0|train|||resnet18-bare-s0|yes||||||||||full
resnet18-found-s0||lanes|resnet18|found|0|train|||resnet18-bare-s0|yes||||||||||full
resnet18-given-s0||lanes|resnet18|dense|0|raw/a.pt||timm||yes
resnet18-given-s1||lanes|resnet18|found|0|raw/a.pt||timm||yes
vit||digits|vit_mini|bare|0|train||||yes
vit-hard||digits|vit_mini|hard|0|train|||vit|yes
vit-hard-again||digits|vit_mini|hard|1|train|||vit|yes
vit-released||digits|vit_mini|hard||raw/a.pt|||vit|yes
vit-classes||digits|vit_mini|probed|0|train|||vit|yes
vit-classes-given||digits|vit_mini|probed||raw/a.pt|||vit-hard|yes
vit-maps||lanes|vit_mini|lined|0|train|||vit|yes
vit-maps-given||lanes|vit_mini|lined||raw/a.pt|||vit-hard|yes
vit-depth||lanes|vit_mini|measured|0|train|||vit-hard|yes
dino||photos|dinov2_vits14|||raw/a.pt||timm||yes|||||28|40|bilinear|0.5,0.5,0.5|0.25,0.25,0.25
dino-hard||photos|dinov2_vits14|hard||raw/a.pt|||dino|yes
"""
PUBLISHED = """
model|norm|eps|images|clean|autoattack|source
resnet8-robust-s0|linf|8/255|digits|0.9|0.5|a paper
another|linf|8/255|digits|0.7|0.4|a paper
"""
GRID = {"base": "robust", "dataset": "digits", "arch": "resnet8", "grid": {"optimizer.lr": [0.01, 0.02]}}
# Files that no figure needs.
MORE = [f"results/prep/{name}/test.targets.lmdb" for name in ("maps", "far", "roads")]
MORE += [f"results/prep/{name}/test.html" for name in ("maps", "far", "packed")]
MORE += ["results/dinov2/photos", "results/mmseg/rooms"]
MORE += ["results/tfds/photos", "results/tfds/packed", "results/tfds/part"]
MORE += [f"results/train/{name}/weights.safetensors" for name in ("vit-classes-given", "vit-maps", "vit-maps-given")]
MORE += ["results/train/vit-classes/heads.parquet", "results/train/vit-depth/epochs.parquet"]
MORE += ["results/invert/packed/resnet18-bare-s1.lmdb"]
MORE += ["results/effectiveness/photos/resnet50-tough-s0.parquet"]
MORE += [f"results/corrupt/photos/resnet50-bare-s0/{cell}.parquet" for cell in ("some", "some-clean", "kept")]
MORE += [f"results/represent/photos/natural/{model}.parquet" for model in ("own", "plugged", "trained")]
MORE += [f"results/train/resnet18-{recipe}-s0/weights.safetensors" for recipe in ("dense", "found")]
MORE += [f"results/train/resnet18-given-s{seed}/weights.safetensors" for seed in (0, 1)]
MORE += [f"results/drift/{cell}/self.parquet" for cell in ("digits/vit-hard", "digits/vit-released", "photos/dino")]
MORE += ["results/train/dino-hard/dinov2.pth"]
MORE += ["results/cards/resnet8-robust-s0.html", "results/leaderboard.html"]
MORE += ["results/published/resnet8-robust-s0.json", "results/hub/resnet50-tough-s0"]
MORE += ["results/cards/resnet8-robust-s0.md", "results/cards/resnet18-tough-s0.md"]
for model in ("resnet18-tough-s0", "resnet50-tough-s0"):
    MORE += [f"results/tfds_perturb/{kind}/photos/{model}/weak" for kind in ("perturbation", "adversarial")]
    MORE += [f"results/convergence/photos/{model}.parquet"]
    MORE += [f"results/subgroups/photos/group/inverted/agreement/cka/{model}.parquet"]
for cell in ("compare/{}/natural/cka", "subgroups/{}/inverted/agreement/cka", "agree/{}/natural", "probe_agree/{}"):
    MORE += [f"results/{cell.format('digits/two')}/{TWO[1]}.parquet"]


def sheet(text):
    """A sheet with tabs, of one with lines between the cells."""
    return text.lstrip().replace("|", "\t")


def _yaml(content):
    return yaml.dump(content, Dumper=yaml.CSafeDumper)


def _check(value, rules, where):
    """What `schema.check` gives; the same again is not checked again."""
    return pickle.loads(_checked(pickle.dumps(value), rules, where))


@cache
def _checked(value, rules, where):
    return pickle.dumps(CHECK(pickle.loads(value), rules, where))


class Tree:
    """The tree in the working directory, which is empty."""

    def __init__(self, folder):
        self.folder = folder
        for split in ("train", "test"):
            for label in ("cat", "dog"):
                (folder / "raw" / "photos" / split / label).mkdir(parents=True)
        (folder / "raw" / "other").mkdir()
        for part in ("maps/ImageSets/Segmentation", "maps/JPEGImages", "maps/SegmentationClass"):
            (folder / "raw" / part).mkdir(parents=True)
        (folder / "raw/maps/ImageSets/Segmentation/test.txt").touch()
        (folder / "raw/nyu").mkdir()
        (folder / "raw/nyu/nyu_test.txt").touch()
        for part in ("images", "annotations"):
            (folder / "raw" / "far" / part / "test").mkdir(parents=True)
        for name in ("raw/a.pt", "raw/b.pt", "raw/i.pt", "raw/j.pt", "raw/packed.tar.gz", "raw/other.tar.gz"):
            (folder / name).write_bytes(b"1")
        for name, net in (("net", "Net"), ("plugin", "net_of_plugin"), ("other", "net_of_plugin")):
            (folder / f"raw/{name}.py").write_text(f"def {net}(): pass")
        (folder / "lists").mkdir()
        for name, lines in {
            "two": "cat dog",
            "one": "cat",
            "files": "1.png",
            "names": "cat dog",
            "more": "dog cat",
        }.items():
            (folder / "lists" / f"{name}.txt").write_text("\n".join(lines.split()))
        (folder / "published.tsv").write_text(sheet(PUBLISHED))
        (folder / "published2.tsv").write_text(sheet(PUBLISHED).replace("0.9", "0.8"))

    @cached_property
    def base(self):
        """What all jobs are told before any change."""
        return self.told()

    def told(self, config=None, recipes=None, datasets=DATASETS, models=MODELS):
        """What all jobs are told under this configuration, recipes and sheets."""
        where = self.folder / "config"
        shutil.rmtree(where, ignore_errors=True)
        (where / "recipes" / "sweeps").mkdir(parents=True)
        (where / "models").mkdir()
        (where / "datasets.tsv").write_text(sheet(datasets))
        (where / "models" / "demo.tsv").write_text(sheet(models))
        for name, recipe in (recipes or RECIPES).items():
            (where / "recipes" / f"{name}.yaml").write_text(_yaml(recipe))
        for sweep in ("grid", "wide"):
            (where / "recipes" / "sweeps" / f"{sweep}.yaml").write_text(_yaml(GRID))
        shutil.copytree(where, self.folder / "again", dirs_exist_ok=True)
        with mock.patch.multiple(schema, names=lambda of: [*NAMES(of), "mine"], check=_check):
            plan = Plan(config or CONFIG)
        return jobs(plan, [*plan.targets(), *MORE])


# Keys


def leaves(rules, path=""):
    """(dotted path, schema) of every key that holds no mapping of its own."""
    for key, sub in rules.get("properties", {}).items():
        here = f"{path}.{key}".lstrip(".")
        if sub.get("properties"):
            yield from leaves(sub, here)
        else:
            yield here, sub


def put(mapping, path, value):
    """A copy with another value at a dotted path."""
    copied = json.loads(json.dumps(mapping))  # blocks that are one object become several
    *parents, last = path.split(".")
    place = copied
    for key in parents:
        place = place.setdefault(key, {})
    place[last] = value
    return copied


def at(mapping, path, default=None):
    """The value at a dotted path."""
    for key in path.split("."):
        if not isinstance(mapping, dict) or key not in mapping:
            return default
        mapping = mapping[key]
    return mapping


def other(value, rules):
    """Another value that a schema allows, near the one there is."""
    kind = rules.get("type", "")
    if "enum" in rules:
        return next(one for one in rules["enum"] if one != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return value[:-1] if value and isinstance(value[0], str) else [other(one, rules["items"]) for one in value]
    if "integer" in kind:
        return 1 if value is None else value + 1
    if "number" in kind:
        return (value or 1) / 2
    return f"{value}2"


# Changes: key, and what all jobs are told before and after


OF_PHOTOS = {"dataset": "photos", "models": ["resnet50-bare-s0", "resnet50-tough-s0"]}
ONE_EPS = {"eps": [0]}
# Where another value must go with other keys or sheets: changes of the figure before, and of it after.
FIGURES = {
    "accuracy.evaluations": ({}, {"evaluations": [{"datasets": ["digits"], "attacks": ["weak"]}]}),
    **{f"{figure}.dataset": ({}, OF_PHOTOS) for figure in ("fig1", "fig8", "fig9")},
    "fig11.dataset": ({}, {"dataset": "photos", "models": ["resnet18-tough-s0", "resnet50-tough-s0"]}),
    "fig7.dataset": ({}, {"dataset": "part", "models": ["resnet50-bare-s0"]}),
    "fig5.dataset": ({}, {"dataset": "photos"}),
    "corruptions.dataset": ({}, {"dataset": "photos"}),
    "corruptions.corruptions": ({}, {"corruptions": "kept"}),
    **{f"{figure}.corruptions": ({}, {"corruptions": "kept"}) for figure in ("robustness", "transfer", "prime")},
    "robustness.datasets": ({"models": None}, {"models": None, "datasets": ["photos"]}),
    "robustness.models": ({}, {"models": ["resnet8-plain-s0"]}),
    "robustness.numbers": ({}, {"numbers": "published2.tsv"}),
    **{f"{figure}.datasets": ({}, {"datasets": ["lanes", "digits"]}) for figure in ("transfer", "prime")},
    **{f"{figure}.models": ({}, {"models": ["resnet18-dense-s0"]}) for figure in ("transfer", "prime")},
    "transfer.modes": ({}, {"modes": ["full"]}),
    "prime.modes": ({}, {"modes": ["full"]}),
    **{f"{figure}.detection": ({}, {"detection": "mask_ap"}) for figure in ("transfer", "prime")},
    **{f"{figure}.dataset": ({}, {"dataset": "photos", "models": None}) for figure in ("frontier", "profile")},
    **{f"{figure}.attack": ({}, {"attack": "strong"}) for figure in ("frontier", "profile")},
    **{f"{figure}.corruptions": ({}, {"corruptions": "some"}) for figure in ("frontier", "profile")},
    **{f"{figure}.models": ({}, {"models": [*CROSSED, "vit"]}) for figure in ("frontier", "profile")},
    "profile.measures": ({}, {"measures": ["near"]}),
    "profile.images": ({}, {"images": ["inverted"]}),
    "profile.drift": ({}, {"drift": "felt"}),
    "profile.transfer": ({"corruptions": "some"}, {"corruptions": "some", "transfer": ["lanes"]}),
    "curves.dataset": ({}, OF_PHOTOS),
    "curves.attack": ({"attacks": []}, {"attacks": [], "attack": "direct"}),
    "curves.attacks": ({}, {"attacks": ["most"]}),
    "surrogates.dataset": ({}, {"dataset": "part", "models": ["resnet50-bare-s0"], "attack": "both"}),
    "surrogates.models": ({}, {"models": ["vit"]}),
    "surrogates.attack": ({}, {"attack": "glimpsed"}),
    "tokens_training.models": ({}, {"models": ["vit-hard-again"]}),
    "tokens_training.numbers": ({}, {"numbers": "published2.tsv"}),
    "tokens_downstream.models": ({}, {"models": ["vit-classes", "vit-maps"]}),
    "tokens_downstream.attack": ({}, {"attack": "both_ways"}),
    "tokens_features.dataset": ({}, {"dataset": "photos", "models": ["dino-hard"]}),
    "tokens_features.models": ({}, {"models": ["vit-released"]}),
    "tokens_features.attacks": ({}, {"attacks": ["self"]}),
    "tokens_activations.dataset": ({}, {"dataset": "photos", "models": ["dino-hard"]}),
    "tokens_activations.models": ({}, {"models": ["vit-hard"]}),
    "tokens_activations.attack": ({}, {"attack": "self"}),
    "tokens_activations.surface": ({}, {"surface": "blocks.0"}),
    "tokens_corruptions.models": ({}, {"models": ["vit-maps"]}),
    "tokens_corruptions.corruptions": ({}, {"corruptions": "kept"}),
    "predictions.models": ({}, {"models": ["vit-depth"]}),
    "predictions.attack": ({}, {"attack": "strong"}),
    "predictions.images": ({}, {"images": 2}),
    "atlas.dataset": ({}, {"dataset": "photos", "models": ["resnet18-bare-s0", "resnet50-bare-s0"]}),
    "atlas.models": ({}, {"models": ["vit", TWO[0]]}),
    "atlas.measure": ({}, {"measure": "far"}),
    "atlas.layers": ({}, {"layers": "best"}),
    "atlas.shows": ({}, {"shows": "calibrated"}),
    "layers.comparisons": ({}, {"comparisons": [{"dataset": "digits", "models": ["vit"]}]}),
    "layers.measure": ({}, {"measure": "far"}),
    "fig6.dataset": ({}, {"dataset": "digits"}),
    **{
        f"{figure}.eps": ({}, ONE_EPS) for figure in ("fig2", "fig3", "fig4", "fig5", "fig6", "fig13", "fig14", "fig15")
    },
    **{
        f"{figure}.threat": (ONE_EPS, ONE_EPS | {"threat": "l2"}) for figure in ("fig2", "fig3", "fig4", "fig5", "fig6")
    },
    **{f"{figure}.threat": (ONE_EPS, ONE_EPS | {"threat": "l2"}) for figure in ("fig13", "fig14", "fig15")},
    "fig5.models": ({}, {"models": TWO, "eps": ["8/255"]}),
    "fig6.models": ({}, {"models": OF_PHOTOS["models"] + ["resnet18-bare-s0"], "eps": [0]}),
    **{
        f"{figure}.models": ({"datasets": ["digits"]}, {"datasets": ["digits"], "models": TWO, "eps": ["8/255"]})
        for figure in ("fig2", "fig3", "fig4", "fig13", "fig14", "fig15")
    },
    "fig9.attack": ({}, {"attack": "most"}),
    "fig10.sweep": ({}, {"sweep": "wide"}),
    "fig11.attack": ({}, {"attack": "strong"}),
    "universality_accuracy.evaluations": ({}, {"evaluations": [{"datasets": ["photos"], "attacks": ["own"]}]}),
    "universality_accuracy.eps": ({}, ONE_EPS),
    "universality_accuracy.threat": (ONE_EPS, ONE_EPS | {"threat": "l2"}),
    "universality_accuracy.models": ({}, {"models": TWO}),
    "universality_accuracy.numbers": ({}, {"numbers": "published2.tsv"}),
    "published.attack": ({}, {"attack": "weak"}),
    "published.numbers": ({}, {"numbers": "published2.tsv"}),
}
# Where names are free, an option of one entry and another value.
ENTRIES = {
    "sets": ("two.models", ["resnet8-plain-s0", *TWO]),
    "attack.attacks": ("weak.steps", 7),
    "corrupt.corruptions": ("some.severities", [1, 3]),
    "drift.attacks": ("felt.steps", 7),
    "compare.measures": ("near.k", 7),
}
# Values of other keys that no rule of `other` finds.
VALUES = {
    "represent.layers": {"vit": ["blocks.0"]},
    "invert.lists": {"packed": {"seeds": "lists/names.txt"}},
    "datasets": "again/datasets.tsv",
    "plugins": ["raw/other.py"],
    "models": ["again/models/demo.tsv"],
    "recipes": "again/recipes",
    "expected": ["published2.tsv"],
    "sweeps": ["wide", "grid"],
    "corrupt.references": {"digits": "published2.tsv"},
    "attack.perturbations.judges": ["resnet8-plain-s0", "resnet50-bare-s0"],
}
RECIPE_VALUES = {
    "loss": "trades",
    "loss_options": {"a": 1},
    "mix.dataset": "digits",
    "attack.eps": "4/255",
    "schedule.milestones": [1],
    "augment.auto_augment": "rand-m9-mstd0.5-inc1",
    "task": "detection",
    "optimizer.no_decay": ["norm"],
    "input.scale": [80, 64],
    "input.resize": 48,
    "augment.resize_range": [0.5, 1.5],
    "augment.short_sides": [48, 64],
    "augment.crop_short_sides": [70, 80],
    "augment.crop_range": [40, 60],
    "mask_rcnn.candidates": [100, 50],
    "mask_rcnn.norm": "bn",
    "augment.random_crop": True,
    "linear.range": [0.1, 20],
}
HEAD_VALUES = {"blocks": [1, 2], "average": [False], "lr": [0.1, 0.3]}
TOKENS_VALUES = {"attack.through": "self", "attack.eps": "4/255", "attack.max_mse": 1e-4}
# Values of other keys beside which a key of a recipe does something, where those of the small tree are not such.
GROWING = {"attack.schedule.shape": "linear"}
SEGMENTS = {"task": "segmentation"}
CROPPED = {"augment.random_resized_crop": True}
MIXED = {"augment.mixup": 1}
BESIDE = {
    "beta": {"loss": "trades"},
    "loss_options": {"loss": "mine"},
    "optimizer.base_batch": {"optimizer.scaling": "sqrt"},
    "schedule.warmup_lr": {"schedule.warmup_epochs": 1},
    "schedule.every": {"schedule.name": "step"},
    "schedule.milestones": {"schedule.name": "multistep", "schedule.milestones": [2]},
    "schedule.factor": {"schedule.name": "step", "schedule.every": 1},
    "clip_mode": {"clip_norm": 1},
    "augment.color_jitter": {"augment.auto_augment": None},
    "schedule.power": {"schedule.name": "poly"},
    "schedule.rise": {"schedule.name": "one_cycle"},
    "schedule.warmup_ratio": {"schedule.warmup_updates": 2},
    "augment.largest_class": SEGMENTS | {"input.scale": [80, 64], "augment.resize_range": [0.5, 2]},
    "augment.resize_range": SEGMENTS | {"input.scale": [80, 64]},
    "augment.short_sides": {"input.scale": [80, 64]},
    "augment.crop_short_sides": {"input.scale": [80, 64], "augment.short_sides": [48]},
    "augment.crop_range": {"input.scale": [80, 64], "augment.short_sides": [48], "augment.crop_short_sides": [70]},
    **{key: {"upernet.inference": "slide"} for key in ("upernet.crop", "upernet.stride")},
    **{key: {"linear.inference": "slide"} for key in ("linear.crop", "linear.stride")},
    "augment.erasing_mode": {"augment.erasing": 0.5},
    **dict.fromkeys(("attack.tie_step_size", "attack.schedule.zero_epochs", "attack.schedule.by"), GROWING),
    "attack.schedule.period": GROWING,
    **dict.fromkeys(("augment.scale", "augment.ratio", "augment.interpolation"), CROPPED),
    **dict.fromkeys(("augment.mix_probability", "augment.epochs_without_mixup"), MIXED),
    **{path: {"augment.prime.width": 3} for path, _ in leaves(schema.load("recipe")) if ".prime." in path},
    "jsd_weight": {"loss": "jsd", "augment.auto_augment": "augmix-m3"},
}
OF_ATTACKED = ("loss", "beta", "validation.every", "validation.steps", "validation.images", "validation.alarm")
SMALL = {
    "plugins": CONFIG["plugins"],
    "attack": CONFIG["attack"],
    "invert": CONFIG["invert"],
    "figures": {"accuracy": {"evaluations": [{"datasets": ["digits", "photos"], "attacks": ["weak"]}]}},
}


def of_config(tree):
    """Changes of every key of the configuration; options of attacks and measures by one example each."""
    rules = schema.load("config")
    filled = schema.check(CONFIG, "config", "here")
    before, alone = tree.base, cache(lambda figure: tree.told(_only(figure, {})))
    for path, sub in leaves(rules):
        if path in ("show", "title"):  # they tell no job anything: which there are, and a word above them
            continue
        if path in ENTRIES:
            key, value = ENTRIES[path]
            yield f"{path}.NAME.*", before, tree.told(put(CONFIG, f"{path}.{key}", value))
            continue
        figure, _, option = path.removeprefix("figures.").partition(".")
        if path.startswith("figures.") and f"{figure}.{option}" in FIGURES:
            yield path, *(tree.told(_only(figure, change)) for change in FIGURES[f"{figure}.{option}"])
        elif path.startswith("figures."):
            value = other(at(filled, path), sub)
            yield path, alone(figure), tree.told(_only(figure, {option: value}))
        else:
            value = VALUES.get(path) or other(at(filled, path), sub)
            yield path, before, tree.told(put(CONFIG, path, value))


def _only(figure, change):
    """The configuration with one figure, and options of it changed."""
    return CONFIG | {"figures": {figure: CONFIG["figures"][figure] | change}}


def of_recipe(tree):
    """Changes of every key of a recipe, by which models are trained and others were before they were converted."""
    before = tree.told(SMALL)
    for path, sub in leaves(schema.load("recipe")):
        if path == "kind":
            continue
        if path == "extends":
            yield (
                path,
                before,
                tree.told(SMALL, RECIPES | {"base": PLAIN, "plain": {"extends": "base"}}),
            )
            continue
        recipes, models = dict(RECIPES), MODELS
        for name in _with(path):
            for key, value in BESIDE.get(path, {}).items():
                recipes[name] = put(recipes[name], key, value)
        first = tree.told(SMALL, recipes) if path in BESIDE else before
        filled = schema.check(recipes[_with(path)[0] if path.startswith("linear.") else "robust"], "recipe", "here")
        value = RECIPE_VALUES.get(path) or other(at(filled, path), sub)
        for name in _with(path):
            recipes[name] = put(recipes[name], path, value)
            if path == "iterations":  # which take the place of epochs
                del recipes[name]["epochs"]
        if path in ("attack.eps", "attack.norm"):
            attack = recipes["robust"]["attack"]
            models = models.replace("|linf|8/255|", f"|{attack['norm']}|{attack['eps']}|")
        yield path, first, tree.told(SMALL, recipes, models=models)


def of_tokens(tree):
    """Changes of every key of a recipe of kind tokens but kind and `extends`."""
    filled = schema.check(TOKENS, "tokens", "here")
    for path, sub in leaves(schema.load("tokens")):
        if path not in ("kind", "extends"):
            value = TOKENS_VALUES.get(path) or other(at(filled, path), sub)
            told = TOKENS | {"share_attack": path != "attack.through"}
            before = tree.told(recipes=RECIPES | {"hard": told})
            yield path, before, tree.told(recipes=RECIPES | {"hard": put(told, path, value)})


def of_head(tree):
    """Changes of every key of a recipe of kind head but kind and `extends`."""
    filled = schema.check(HEAD, "head", "here")
    for path, sub in leaves(schema.load("head")):
        if path not in ("kind", "extends"):
            base = put(HEAD, "augment.random_resized_crop", True) if path.startswith("augment.") else HEAD
            if path == "method":
                base = {"kind": "head"}
            value = HEAD_VALUES.get(path) or other(at(filled, path), sub)
            before = tree.told(recipes=RECIPES | {"probed": base})
            yield path, before, tree.told(recipes=RECIPES | {"probed": put(base, path, value)})


def _with(path):
    """Recipes that can have a key: those with the block that it is in, or with an attack that it is about."""
    if path in OF_ATTACKED or path.startswith("attack."):
        return ["robust", "tough"]
    if path in ("jsd_weight", "loss_options"):
        return ["plain", "bare", "again"]
    if path == "task":
        return ["dense"]
    if path.startswith("mix."):
        return ["plain", "robust"]
    if path.startswith(("upernet.", "backbone.")):  # which the block `linear` takes the place of
        return ["dense", "found"] if path.startswith("backbone.") else ["dense"]
    if path.startswith("linear."):
        return ["measured" if _idle_for(path, "segmentation") else "lined"]
    if path == "input.size" or path.startswith("augment.prime"):  # pixels of a dense task stay where they are
        return [name for name in TRAINING if "task" not in RECIPES[name]]
    keys = [path, *BESIDE.get(path, {})]
    tasks = {name: RECIPES[name].get("task", "classification") for name in TRAINING}
    return [name for name, task in tasks.items() if not any(_idle_for(key, task) for key in keys)]


def _idle_for(path, task):
    """Whether a key does nothing in recipes of a task."""
    cases = known().get(path, {}).get("idle", [])
    return any([*case] == ["task"] and task in case["task"] for case in cases)


def cell(text, row, column, value):
    """A sheet with another value in a cell, or in that of a column in several rows."""
    rows = [row] if isinstance(row, str) else row
    head, *lines = text.strip("\n").split("\n")
    place = head.split("|").index(column)
    changed = []
    for line in lines:
        cells = line.split("|")
        if cells[0] in rows:
            cells += [""] * (place + 1 - len(cells))
            cells[place] = value
        changed.append("|".join(cells))
    return "\n".join([head, *changed]) + "\n"


# Row and other value of each column.
DATASET_CELLS = {
    "classes": ("photos", "6"),
    "size": ("photos", "0"),
    "reader": ("packed", "cifar10_binary"),
    "source": ("packed", "raw/other.tar.gz"),
    "train": ("photos", "training"),
    "test": ("photos", "testing"),
    "subset": ("part", "lists/one.txt"),
    "names": ("photos", "lists/more.txt"),
    "parent": ("part", "shapes"),
    "version": ("photos", "2"),
    "licence": ("photos", "not free"),
    "sha256": ("packed", "0" * 64),
    "home": ("photos", "elsewhere"),
    "task": ("roads", "depth, classification"),
    "map_classes": ("maps", "7"),
    "ignore": ("maps", "0"),
    "depth_min": ("far", "2"),
    "depth_max": ("far", "9"),
    "depth_unit": ("far", "0.002"),
    "depth_crop": ("far", "0,2,0,3"),
}
OF_LANES = ("resnet18-dense-s0", "resnet18-found-s0", "resnet18-given-s0", "resnet18-given-s1")
MODEL_CELLS = {
    "label": ("resnet8-robust-s0", "words"),
    "arch": (("resnet50-bare-s0", "resnet18-bare-s0", *OF_LANES), "resnet34"),
    "recipe": (("resnet50-bare-s0", "resnet18-bare-s0"), "again"),
    "seed": (("resnet50-bare-s0", "resnet18-bare-s0"), "7"),
    "source": (("resnet18-bare-s0", "resnet18-given-s0"), "raw/b.pt"),
    "sha256": (("resnet18-bare-s0", "resnet18-given-s0"), "0" * 64),
    "format": (("resnet18-bare-s0", "resnet18-given-s0"), "bai"),
    "base": ("resnet50-tough-s0", "resnet18-tough-s0"),
    "transfer": (("resnet50-tough-s0", "resnet18-dense-s0"), "fixed"),
    "apart": ("resnet18-bare-s0", "yes"),
    "mirror": ("resnet18-tough-s0", "https://elsewhere/a.pt"),
    "licence": ("resnet18-tough-s0", "not free"),
    "reference": ("resnet18-tough-s0", "another paper"),
    "inverted": ("resnet18-bare-s1", "raw/j.pt"),
    "size": ("own", "24"),
    "resize": ("own", "48"),
    "interpolation": ("own", "bicubic"),
    "mean": ("own", "0.4,0.5,0.6"),
    "std": ("own", "0.2,0.2,0.2"),
    "task": ("dino", "features"),
    "part": (("resnet18-bare-s0", "resnet18-given-s0"), "last"),
    "published": ("resnet8-robust-s0", "another"),
}
# Columns that say which model and cells there are; threat and eps follow from the recipe.
WHICH = ("model", "dataset", "threat", "eps")


def of_datasets(tree):
    """Changes of every column of datasets.tsv but the name."""
    for column in schema.load("datasets")["properties"]:
        if column == "dataset":
            continue
        row, value = DATASET_CELLS[column]
        text = DATASETS if column != "classes" else cell(DATASETS, "part", "classes", value)
        yield column, tree.base, tree.told(datasets=cell(text, row, column, value))


def of_models(tree):
    """Changes of every column of a sheet of models but those that say which models and cells there are."""
    for column in schema.load("models")["properties"]:
        if column == "apart":  # with a third model, for one without another has no figure
            three = MODELS + "resnet34-bare-s0||photos|resnet34|bare|0|train||||\n"
            yield column, tree.told(models=three), tree.told(models=cell(three, *_place(column)))
        elif column not in WHICH:
            yield column, tree.base, tree.told(models=cell(MODELS, *_place(column)))


def _place(column):
    row, value = MODEL_CELLS[column]
    return row, column, value
