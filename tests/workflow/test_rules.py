"""Rules: each is complete, its file says what goes in and out, and the registries agree with the schemas."""

import re
import sys

import pytest
import yaml

import mettle
from environments import requirements
from imports import ROOT, own_rules, packages
from mettle import measures, perturb, schema
from mettle.data.published_corruptions import PUBLISHED
from mettle.data.readers import READERS
from mettle.perturb.features import NORMALISED
from mettle.plan.recipes import Recipes
from mettle.stages import train
from mettle.units import sides

SNAKEFILE = ROOT / "workflow" / "Snakefile"
FOLDER = ROOT / "workflow" / "rules"
FILES = sorted(FOLDER.glob("*.smk"))
STAGES = [path for path in FILES if path.name != "common.smk"]
# Directives that belong into the profile, or that hide code in a rule.
FORBIDDEN = {"run", "shell", "threads", "retries", "message", "priority"}


GPU = {
    "tokens",
    "share_attack",
    "head",
    "drift",
    "activations",
    "layers",
    "train",
    "transfer",
    "attack",
    "pictures",
    "corrupt",
    "effectiveness",
    "convergence",
    "perturb",
    "semantics",
    "invert",
    "take_inverted",
    "represent",
    "cross",
    "probe",
    "compare_gpu",
    "subgroups_gpu",
}


def placed(text):
    """A path in the default folders."""
    for name, folder in {"<results>": "results", "<logs>": "logs", "<benchmarks>": "benchmarks/results"}.items():
        text = text.replace(name, folder)
    return text


class Rule:
    """A rule as it stands in its file: text by directive."""

    def __init__(self, file, name, text):
        self.file, self.name, self.text = file, name, text
        pieces = re.split(r"^    (\w+):", text, flags=re.MULTILINE)
        self.docstring = re.search(r'"""(.+?)"""', pieces[0], re.DOTALL)
        self.parts = dict(zip(pieces[1::2], pieces[2::2], strict=True))

    def strings(self, part):
        """Texts of a directive, folders as they are by default."""
        return [placed(text) for text in re.findall(r'"([^"]+)"', self.parts.get(part, ""))]

    def file_of(self, part):
        (name,) = self.strings(part)
        return (self.file.parent / name).resolve()


def rules():
    found = []
    for file in STAGES:
        pieces = re.split(r"^rule (\w+):\n", own_rules(file), flags=re.MULTILINE)
        found += [Rule(file, name, text) for name, text in zip(pieces[1::2], pieces[2::2], strict=True)]
    return found


RULES = {rule.name: rule for rule in rules()}
# Rules that use another one, with what they say otherwise.
DERIVED = {
    name: Rule(file, name, text)
    for file in STAGES
    for name, text in re.findall(
        r"^use rule \w+ as (\w+) with:\n(.*?)(?=^use rule |^rule |\Z)", file.read_text(), re.M | re.S
    )
}
each = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def head(file):
    return re.match(r'"""(.+?)"""', file.read_text(), re.DOTALL)[1]


def profile(name):
    return yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())


# Rules


def test_all_rules_are_seen():
    declared = [
        name for file in FILES for name in re.findall(r"^\s*(?:rule|checkpoint) (\w+):", file.read_text(), re.M)
    ]
    assert sorted(declared) == sorted(RULES) and len(RULES) >= 10


@each
def test_a_rule_is_complete(rule):
    assert rule.docstring and rule.docstring[1].endswith(".") and "\n" not in rule.docstring[1]
    assert {"output", "log", "benchmark", "conda", "params", "script"} <= set(rule.parts)
    assert not FORBIDDEN & set(rule.parts)
    assert re.search(r"^\s+revision=[1-9]\d*,$", rule.parts["params"], re.MULTILINE)


# Rules that draw; see docs/reruns.md for when.
DRAW = {
    "drift",
    "activations",
    "layers",
    "prep",
    "pair",
    "attack",
    "pictures",
    "corrupt",
    "corrupted",
    "examples",
    "robustness",
    "effectiveness",
    "convergence",
    "perturb",
    "represent",
    "compare",
    "subgroups",
    "probe",
    "model_card",
    "leaderboard",
}


def test_the_rules_that_draw_are_told_the_seed_and_no_others():
    assert {name for name, rule in RULES.items() if "seed=PLAN." in rule.parts["params"]} == DRAW | {"tabulate_figure"}


@each
def test_the_files_that_a_rule_names_exist(rule):
    assert rule.file_of("conda").is_file() and rule.file_of("conda").parent == ROOT / "envs"
    assert rule.file_of("script").is_file()
    assert rule.file_of("script").stem == rule.name
    for caption in re.findall(r'caption="([^"]+)"', rule.text):
        assert (rule.file.parent / caption).is_file()


@each
def test_log_and_benchmark_have_the_wildcards_of_the_output(rule):
    def wildcards(text):
        return set(re.findall(r"\{(\w+)\}", text))

    (log,), (benchmark,) = rule.strings("log"), rule.strings("benchmark")
    paths = [path for path in rule.strings("output") if path.startswith(("results/", "resources/"))]
    assert (paths or rule.name == "given") and log.startswith("logs/") and benchmark.startswith("benchmarks/results/")
    assert all(wildcards(path) == wildcards(log) == wildcards(benchmark) for path in paths)


@each
def test_only_stores_and_weights_are_shared_by_configurations(rule):
    """All other files are in the folder of the configuration, with the logs and benchmarks of their jobs."""
    texts = re.findall(r'"((?:<results>|results)/(\w+)/[^"]*)"', rule.text)
    assert all(
        text.startswith("<results>") != (stage in ("prep", "train", "tfds", "dinov2", "mmseg")) for text, stage in texts
    )
    own = '"<results>/' in rule.parts["output"]
    assert own == ("<logs>" in rule.parts["log"]) == ("<benchmarks>" in rule.parts["benchmark"])
    assert '"results/.resume' not in rule.parts["params"] or not own


def test_no_two_rules_share_a_log():
    assert len({rule.strings("log")[0] for rule in RULES.values()}) == len(RULES)


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_rules_hold_no_code(file):
    assert not re.search(r"\blambda\b|^\s*def |^\s*run:", file.read_text(), re.MULTILINE)
    # It would name no rule of a workflow that has ours as a module under other names: `localrule` in the rule does.
    assert "localrules" not in file.read_text()


@pytest.mark.parametrize("file", STAGES, ids=lambda path: path.stem)
def test_a_rule_file_says_what_goes_in_and_out(file):
    text = head(file)
    inputs, outputs = re.search(r"INPUTS:(.+?)OUTPUTS:(.+)", text, re.DOTALL).groups()
    own = [rule for rule in [*RULES.values(), *DERIVED.values()] if rule.file == file]
    made = {path for rule in own for path in rule.strings("output") if path.startswith(("results/", "resources/"))}
    named = set(re.findall(r"(?:results|resources)/[\w{}./-]*[\w}]", outputs))
    assert named == made
    taken = {path for rule in own for path in rule.strings("input") if path.startswith("results/")}
    # What comes from an input function stands there as PLAN.something, not as a path.
    functions = any("PLAN." in rule.parts.get("input", "") for rule in own)
    for path in re.findall(r"results/[\w{}./-]*[\w}]", inputs):
        assert path in taken or functions, path
    assert taken - made <= set(re.findall(r"results/[\w{}./-]*[\w}]", inputs))


def test_files_stay_short():
    assert len(SNAKEFILE.read_text().splitlines()) < 60 and len((ROOT / "Snakefile").read_text().splitlines()) < 20
    assert len((FOLDER / "common.smk").read_text().splitlines()) < 60


def test_the_snakefile_includes_every_rule_file():
    included = re.findall(r'^include: "rules/(\w+\.smk)"', SNAKEFILE.read_text(), re.MULTILINE)
    assert sorted(included) == [path.name for path in FILES] and included[0] == "common.smk"


# The profiles


def test_every_rule_of_a_profile_exists():
    for name in ("slurm", "local"):
        given = profile(name)
        assert set(given["set-resources"]) | set(given["set-threads"]) | set(given.get("groups", {})) <= {
            *RULES,
            *DERIVED,
        }


@pytest.mark.parametrize("name", ["slurm", "local"])
def test_the_rules_that_use_a_gpu_get_one_and_no_others(name):
    # These import torch too, but only move and describe weights.
    moving = {"convert", "convert_dense", "convert_tokens", "convert_head", "registers", "card", "hub"}
    resources = profile(name)["set-resources"]
    given = {rule for rule, values in resources.items() if "gpu" in values}
    able = {rule for rule, about in RULES.items() if "torch" in packages(about.file_of("script"))}
    of_their_own = {rule for rule, about in DERIVED.items() if "conda" in about.parts}
    assert given == (able - moving) | of_their_own == GPU
    assert all(resources[rule]["gpu"] == 1 for rule in given)
    assert not any("gpus" in values for values in resources.values())


def test_jobs_with_a_gpu_go_where_gpus_are_and_the_others_do_not():
    given = profile("slurm")
    partitions = {rule: values.get("slurm_partition") for rule, values in given["set-resources"].items()}
    assert {rule for rule, partition in partitions.items() if partition == "gpu"} == GPU
    assert set(partitions.values()) == {"gpu"} and given["default-resources"]["slurm_partition"] == "cpu"


@each
def test_jobs_ask_for_what_they_have_to_do(rule):
    amounts = re.findall(r"(\w+)=(\S+),", rule.parts.get("resources", ""))
    asked = [("mem_mb", f'ASKED.memory("{rule.name}")'), ("runtime", f'ASKED.minutes("{rule.name}")')]
    assert amounts == ([] if "localrule" in rule.parts else asked)


def test_the_profile_has_limits_and_no_amounts():
    given = profile("slurm")
    assert set(given["resources"]) == {"mem_mb", "longest", "gflops"}
    for values in (given["default-resources"], *given["set-resources"].values()):
        assert not {"mem_mb", "runtime"} & set(values)


def test_groups_are_told_apart_by_wildcards_that_their_rules_have():
    given = profile("slurm")
    assert set(given["group-components"]) == set(given["groups"].values())
    for rule, group in given["groups"].items():
        wildcards = re.findall(r"{\w+}", group)
        assert all(wildcard in RULES[rule].parts["output"] for wildcard in wildcards)
        # Jobs of one model and image set have the same inputs.
        assert set(wildcards) in (set(), {"{dataset}", "{set}", "{images}", "{model}"})


def test_retries_are_in_the_profile_and_no_edit_of_a_script_is_a_reason_to_run():
    slurm, local = profile("slurm"), profile("local")
    assert slurm["retries"] >= 1 and slurm["executor"] == "slurm" and slurm["slurm-requeue"]
    # Snakemake lays profiles/default over any other: it may say nothing else.
    default = {"rerun-triggers": ["mtime", "params", "input"], "max-checksum-file-size": 10**9}
    assert profile("default") == default and default.items() <= slurm.items() and default.items() <= local.items()


# Registries and schemas


def test_measures_agree_with_their_schema():
    assert set(schema.load("measures")["$defs"]) == set(measures.MEASURES)


@pytest.mark.parametrize("name", measures.MEASURES)
def test_options_of_a_measure_agree_with_the_schema(name):
    filled = schema.check({"method": name}, f"measures/{name}", "here")
    assert filled == {"method": name} | dict(measures.get(name).options)
    assert list(schema.load(f"measures/{name}")["properties"]) == ["method", *measures.get(name).options]


def test_attacks_agree_with_their_schema():
    definitions = schema.load("attacks")["$defs"]
    assert set(definitions) == set(perturb.ATTACKS)
    for name, attack in perturb.ATTACKS.items():
        assert definitions[name]["properties"]["method"] == {"const": name}
        # What looks for the smallest change is given the largest to try, which is no model's own.
        own = set() if name in ("ddn", "fmn") else {"own"}
        assert set(definitions[name]["properties"]["norm"]["enum"]) == {*attack.norms} | own


def test_readers_losses_and_norms_agree_with_the_schemas():
    recipe = schema.load("recipe")["properties"]
    reader = schema.load("datasets")["properties"]["reader"]
    assert set(reader["else"]["enum"]) == {name for name, about in READERS.items() if not about.example} | {*PUBLISHED}
    assert all(name in recipe["loss"]["description"] for name in train.LOSSES)
    assert {recipe["loss"]["default"], *schema.names("recipe.loss")} == set(train.LOSSES)
    assert set(recipe["attack"]["properties"]["norm"]["enum"]) == set(perturb.NORMS)
    assert set(schema.load("models")["properties"]["threat"]["enum"]) == {"none", NORMALISED, *perturb.NORMS}


# What the project ships


RECIPES = ROOT / "config" / "recipes"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_loads_and_says_where_it_is_from(path):
    recipe = Recipes(RECIPES).get(path.stem, trains=not path.stem.startswith("timm_224"))
    assert "input" not in recipe or min(sides(recipe["input"]["size"])) >= 32
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("path", sorted((RECIPES / "sweeps").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_sweep_expands_to_recipes_that_differ(path):
    found = Recipes(RECIPES, [path.stem])
    assert len(found.rows) >= 3 and path.read_text().startswith("# ")
    recipes = [found.get(row["recipe"]) for row in found.rows.values()]
    assert all(one != other for place, one in enumerate(recipes) for other in recipes[:place])


def test_no_script_hides_an_installed_package():
    # The scripts' folder comes first on sys.path in every job.
    from importlib import metadata

    installed = {
        path.split("/")[0].removesuffix(".py") for d in metadata.distributions() for path in map(str, d.files or [])
    }
    scripts = {path.stem for path in (ROOT / "workflow" / "scripts").glob("*.py")}
    assert not scripts & (installed | set(sys.stdlib_module_names))


def test_the_oldest_snakemake_is_one_that_is_tested():
    least = re.search(r'min_version\("([\d.]+)"\)', SNAKEFILE.read_text())[1]
    assert requirements("requirements.lock")["snakemake"].strip("=").startswith(f"{least}.")


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == mettle.__version__ and cited["license"] in (ROOT / "LICENSE").read_text()
    assert len({reference["url"] for reference in cited["references"]}) == 4


def test_what_the_catalogue_says_of_deployment_is_so():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    given = usage["software-stack-deployment"]
    assert given["conda"] == all("conda" in rule.parts for rule in RULES.values())
    assert given["apptainer+conda"] == ("\ncontainer:" in SNAKEFILE.read_text())
    assert not given["apptainer"] and usage["report"] and (ROOT / "config" / "README.md").exists()
