"""Another workflow has mettle as a module, as `snakedeploy` and the catalogue set it up, with two models of its own."""

import subprocess

import pytest
import yaml
from test_chain import made
from test_commands import counts

import trees
from trees import said, snakemake, succeeded

pytestmark = pytest.mark.workflow

TARGET = "results/prep/digits/test.parquet"
OWN = ["resnet8-tiny-s0", "vgg5-tiny-s0"]
CONFIG = {
    "attack": {"attacks": {"pgd2": {"method": "pgd", "norm": "l2", "eps": 0.5, "steps": 2}}},
    "figures": {
        "accuracy": {"evaluations": [{"datasets": ["digits"], "attacks": ["pgd2"]}]},
        "fig7": {"dataset": "digits", "models": OWN[:1]},
    },
}
SNAKEFILE = """
configfile: "config/config.yaml"

module robustness:
    snakefile: {where}
    config: config["robustness"]

use rule * from robustness{name}

rule size:
    input: "results/prep/digits/test.parquet"
    output: "results/size.txt"
    shell: "stat -c %s {{input}} > {{output}}"

onstart:
    robustness.onstart()
"""


def git(*arguments):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def mettle(tmp_path_factory):
    """What mettle consists of, in a folder of its own."""
    return trees.copy(tmp_path_factory.mktemp("mettle"), "config", "resources/published", "resources/lists")


@pytest.fixture
def other(tmp_path):
    """A workflow with two models of its own, a recipe that extends one of mettle's, and no more sheets."""
    for name in ("recipes", "models"):
        (tmp_path / "config" / name).mkdir(parents=True)
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump({"mine": 1, "robustness": CONFIG}))
    recipe = {"extends": "digits_eps0", "epochs": 1, "checkpoints": [0]}
    (tmp_path / "config" / "recipes" / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    rows = [f"{model}\tdigits\t{model.split('-')[0]}\ttiny\t0\ttrain\n" for model in OWN]
    (tmp_path / "config" / "models" / "demo.tsv").write_text(trees.SHEET + "".join(rows))
    return tmp_path


def files(folder):
    """Files and their times; what Python keeps beside its sources is left away where it may not write."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def write(folder, where, name=""):
    (folder / "workflow").mkdir(exist_ok=True)
    (folder / "workflow" / "Snakefile").write_text(SNAKEFILE.format(where=where, name=name))


def test_a_module_takes_what_the_other_workflow_lacks_from_mettles_own_folder(mettle, other):
    write(other, repr(str(mettle / "workflow" / "Snakefile")), " as its_*")
    before = files(mettle)
    answer = snakemake(other, "-n", "its_all")
    assert answer.returncode == 0, said(answer)
    found = counts(answer)
    assert {rule: found[f"its_{rule}"] for rule in ("train", "attack", "figure")} == {
        "train": 2,
        "attack": 2,
        "figure": 1,
    }
    assert f"input: results/effectiveness/digits/{OWN[0]}.parquet, {mettle}/resources/published/attack_eff" in said(
        answer
    )
    assert "localrules" not in said(answer)
    answer = succeeded(snakemake(other, "--cores", "1", "results/size.txt"))
    assert {rule for rule, _ in made(answer.replace("localrule", "rule"))} == {"its_prep", "size"}
    assert int((other / "results" / "size.txt").read_text()) == (other / TARGET).stat().st_size
    assert files(mettle) == before
    assert (other / ".snakemake" / "runs.lock").exists()  # what our `onstart` leaves


def test_a_module_runs_from_github(mettle, other):
    # Snakemake's own clone of the repository, as if it had been fetched before: there is no network here.
    clone = other / "cache/snakemake/snakemake/source-cache/snakemake-git-cache/github.com/someone/mettle"
    git("init", "--quiet", other / "source")
    git(f"--work-tree={mettle}", f"--git-dir={other}/source/.git", "add", "--all")
    git(f"--git-dir={other}/source/.git", "commit", "--quiet", "--message=all")
    git(f"--git-dir={other}/source/.git", "tag", "v1")
    git("clone", "--quiet", "--bare", other / "source", clone)
    write(other, 'github("someone/mettle", path="workflow/Snakefile", tag="v1")')
    answer = snakemake(other, "--cores", "1", TARGET, XDG_CACHE_HOME=str(other / "cache"))
    succeeded(answer)
    assert (other / TARGET).exists()
