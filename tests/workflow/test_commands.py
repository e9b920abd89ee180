"""Commands that make nothing: dry runs, graphs, lint, and the sentences for a wrong configuration."""

import itertools
import os
import re

import pytest

import conda_stand_in
import trees
from trees import said, snakemake, succeeded

pytestmark = pytest.mark.workflow


def copy(to):
    """A copy of what the workflow consists of, as it is shipped."""
    return trees.copy(to, "config", "resources/published", "resources/lists")


def counts(answer):
    """Jobs by rule of a dry run."""
    table = said(answer).split("Job stats:")[1].split("total")[0]
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return copy(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def own(tmp_path):
    return copy(tmp_path)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_dry_run_of_everything(tree):
    answer = snakemake(tree, "-n")
    assert answer.returncode == 0, said(answer)
    assert {"prep", "train", "attack", "represent", "subgroups", "figure", "default"} <= set(counts(answer))
    assert "convert" not in counts(answer)


def test_dry_run_of_figure_5_attacks_nothing(tree):
    answer = snakemake(tree, "-n", "results/figures/fig5.pdf")
    assert answer.returncode == 0, said(answer)
    assert "attack" not in counts(answer) and counts(answer)["figure"] == 1


def test_dry_run_at_paper_scale_needs_no_data(tree):
    answer = snakemake(tree, "--profile", "slurm", "-n", "results/figures/fig5.pdf")
    assert answer.returncode == 0, said(answer)
    expected = {"prep": 2, "convert": 14, "train": 2, "represent": 16, "subgroups": 56}
    expected |= {"tabulate_figure": 1, "figure": 1}
    assert counts(answer) == expected | {"given": 2}  # which says, before anything else, that there is no ImageNet
    jobs = re.findall(r"^ *rule (\w+):\n(.*?)^ +resources: (.*?)$", said(answer), re.MULTILINE | re.DOTALL)
    assert len(jobs) == sum(expected.values()) + 2
    assert {name for name, _, resources in jobs if "gpu=1" in resources} == {"train", "represent"}
    assert all("gpu=1" in resources for name, _, resources in jobs if name in ("train", "represent"))


def test_dry_run_of_everything_at_paper_scale(tree):
    answer = snakemake(tree, "--profile", "slurm", "-n", "--quiet", "rules")
    assert answer.returncode == 0, said(answer)
    assert {"train", "convert", "cross", "probe_agree", "default"} <= set(counts(answer))


PAIRS = ["fig2", "fig3", "fig4", "fig13", "fig14", "fig15"]


def outputs(answer):
    """First output of each job of a dry run."""
    return {found.split(",")[0] for found in re.findall(r"^ +output: (.*?)$", said(answer), re.MULTILINE)}


def dry_run_of_pairs(folder):
    """Dry run of the figures of pairs, with every model of the sheet."""
    every = "\n".join(["figures:", *(f"  {figure}: {{models: null}}" for figure in PAIRS)])
    (folder / "config" / "every.yaml").write_text(every)
    figures = [f"results/figures/{figure}.pdf" for figure in PAIRS]
    return snakemake(folder, "-n", *figures, "--configfile", "config/every.yaml")


def add(folder, *seeds):
    """Models of these seeds at the end of the sheet, all of one group."""
    with (folder / "config" / "models" / "demo.tsv").open("a") as sheet:
        for seed in seeds:
            sheet.write(f"vgg5-scenes_l2_eps1-s{seed}\t\tscenes\tvgg5\tscenes_l2_eps1\t{seed}\ttrain\n")


def test_a_model_added_to_the_sheet_adds_only_its_own_jobs(own):
    before = dry_run_of_pairs(own)
    model = "vgg5-scenes_l2_eps1-s2"
    add(own, 2)
    after = dry_run_of_pairs(own)
    assert before.returncode == after.returncode == 0, said(before) + said(after)
    assert outputs(before) < outputs(after)
    assert all(model in path for path in outputs(after) - outputs(before))
    more = {rule: n - counts(before).get(rule, 0) for rule, n in counts(after).items()}
    measures = 2 * 4 + 2 * 2  # figures 2 and 3; figures 14 and 15 add two numbers of neighbours
    expected = {"train": 1, "invert": 1, "represent": 2, "cross": 1, "compare": measures, "agree": 2}
    assert {rule: n for rule, n in more.items() if n} == expected


def test_a_model_costs_as_many_jobs_in_a_group_of_24_as_in_one_of_16(own):
    found = [counts(dry_run_of_pairs(own))]
    for seeds in (range(2, 10), range(10, 18)):
        add(own, *seeds)
        found.append(counts(dry_run_of_pairs(own)))
    few, more = ({rule: after[rule] - before[rule] for rule in after} for before, after in itertools.pairwise(found))
    assert few == more and few["cross"] == 8


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ("fig1", {"convert": 4, "prep": 1, "pair": 1, "invert": 4}),
        ("fig2", {"represent": 82, "compare": 4 * 68}),
        ("fig3", {"invert": 82, "represent": 82, "cross": 68, "compare": 4 * 68}),
        ("fig4", {"represent": 62, "agree": 53}),
        ("fig6", {"represent": 2 * 16, "probe": 16, "probe_agree": 14}),
        ("fig13", {"invert": 62, "represent": 62, "cross": 53, "agree": 53}),
        ("fig15", {"invert": 82, "represent": 82, "cross": 68, "compare": 3 * 68}),
    ],
)
def test_dry_runs_of_the_universality_figures_at_paper_scale(tree, figure, expected):
    answer = snakemake(
        tree, f"results/figures/{figure}.pdf", "-n", "--quiet", "rules", "--configfile", "config/paper.yaml"
    )
    assert answer.returncode == 0, said(answer)
    found = counts(answer)
    assert {rule: found.get(rule) for rule in expected} == expected
    assert found["tabulate_figure"] == found["figure"] == 1 and "subgroups" not in found


def test_dry_run_of_the_transfer_study_at_paper_scale(tree):
    asked = [f"results/figures/{name}.pdf" for name in ("transfer", "prime", "corruptions")]
    asked += ["results/tables/robustness.html"]
    answer = snakemake(tree, *asked, "-n", "--quiet", "rules", "--configfile", "config/paper.yaml")
    assert answer.returncode == 0, said(answer)
    found, models, backbones = counts(answer), 51, 12
    cells = models + backbones
    assert {rule: found[rule] for rule in ("convert", "train", "transfer")} == {
        "convert": backbones,
        "train": models // 3,
        "transfer": models - models // 3,
    }
    assert found["robustness"] == cells and found["corrupt"] == cells * (15 + 1)
    assert (found["prep_dense"], found["examples"], found["figure"], found["tabulate_figure"]) == (4, 1, 3, 4)


def test_dry_run_of_one_cell(tree):
    cell = "results/compare/imagenet/group/natural/cka/resnet50-imagenet_eps0-s0.parquet"
    answer = snakemake(tree, "-n", cell, "--config", "models=config/models/universality.tsv")
    assert answer.returncode == 0, said(answer)
    assert counts(answer) == {"given": 1, "prep": 1, "convert": 2, "represent": 2, "compare": 1}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--list"], "Draw a figure"),
        (["--lint"], "good condition"),
        (["--dag", "dot", "results/figures/fig5.pdf"], "digraph snakemake_dag"),
        (["--rulegraph", "dot", "results/figures/fig5.pdf"], "tabulate_figure"),
    ],
)
def test_commands_that_show_the_workflow(tree, arguments, expected):
    answer = snakemake(tree, *arguments)
    assert answer.returncode == 0 and expected in said(answer), said(answer)


def test_the_graph_of_jobs_tells_them_apart(tree):
    text = succeeded(snakemake(tree, "--dag", "mermaid-js", "results/figures/fig5.pdf"))
    names = re.findall(r"^\tid\d+\[(.+)\]$", text, re.MULTILINE)
    assert len(set(names)) == len(names) > 100
    assert "represent - dataset: scenes - images: natural - model: vgg5-scenes_eps0-s0" in names


def test_an_unknown_model_in_a_path_is_said(tree):
    answer = snakemake(tree, "-n", "results/train/resnet8-none-s0/weights.safetensors")
    assert answer.returncode != 0
    path = "results/train/resnet8-none-s0/weights.safetensors"
    assert f"target '{path}': unknown model 'resnet8-none-s0': did you mean 'resnet8-" in said(answer)
    assert "Traceback" not in said(answer)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("config/config.yaml", "\ncompare:", "\ncompair:", "unknown key 'compair': did you mean 'compare'?"),
        (
            "config/config.yaml",
            "\n    dataset: scenes",
            "\n    dataset: scene",
            "unknown data set 'scene': did you mean 'scenes'?",
        ),
        ("config/config.yaml", "    cka: {}", "    ckaa: {}", "compare.measures.ckaa: unknown method 'ckaa'"),
        ("config/config.yaml", "steps: 20", "stepz: 20", "unknown key 'stepz': did you mean 'steps'?"),
        ("config/config.yaml", "eps: 2.0", "eps: -2.0", "'eps' must be at least 0, got -2.0"),
        (
            "config/models/demo.tsv",
            "digits_eps0\t0",
            "digits_eps0\t-1",
            "config/models/demo.tsv, line 3, row 'resnet8-digits_eps0-s0': 'seed'",
        ),
        (
            "config/models/demo.tsv",
            "\tresnet8\t",
            "\tresnet9\t",
            "unknown architecture 'resnet9': did you mean",
        ),
        ("config/datasets.tsv", "\t10\t", "\tten\t", "config/datasets.tsv, line 2, row 'digits': 'classes' must be"),
        ("config/recipes/digits_eps0.yaml", "epochs:", "epoch:", "config/recipes/digits_eps0.yaml: "),
    ],
)
def test_a_wrong_configuration_stops_the_dry_run_with_a_sentence(own, file, old, new, message):
    edit(own / file, old, new)
    answer = snakemake(own, "-n")
    assert answer.returncode != 0 and message in said(answer), said(answer)
    assert "Traceback" not in said(answer)


def test_ones_own_file_is_laid_over_the_papers_by_naming_both(own):
    evaluation = "{datasets: [imagenet], attacks: [pgd20_l2_eps3]}"
    (own / "config" / "mine.yaml").write_text(f"figures: {{accuracy: {{evaluations: [{evaluation}]}}}}")
    command = ["-n", "--profile", "slurm", "--configfile", "config/mine.yaml", "--", "results/tables/accuracy.parquet"]
    alone = snakemake(own, *command)
    assert alone.returncode and "unknown attack 'pgd20_l2_eps3'" in said(alone), said(alone)
    assert "with config/paper.yaml it would be right: --configfile config/paper.yaml config/mine.yaml" in said(alone)
    answer = succeeded(snakemake(own, *command[:4], "config/paper.yaml", *command[4:]))
    assert "results/attack/imagenet/" in answer and "results/attack/cifar10/" not in answer


def test_a_configuration_need_not_list_every_figure(own):
    path = own / "config" / "config.yaml"
    path.write_text(
        path.read_text().split("figures:")[0]
        + "figures:\n  accuracy: {evaluations: [{datasets: [digits], attacks: [pgd20_l2_eps2]}]}\n"
    )
    answer = snakemake(own, "-n")
    assert answer.returncode == 0, said(answer)
    assert counts(answer)["tabulate_figure"] == 1


def test_missing_data_are_said_when_a_job_needs_them(own):
    target = "results/prep/imagenet/val.lmdb"
    answer = snakemake(own, "--cores", "1", target)
    assert answer.returncode != 0
    assert "column `source` of row 'imagenet' in config/datasets.tsv" in said(answer)
    assert "register at https://image-net.org" in said(answer)
    assert not (own / target).exists() and not (own / "results/prep/imagenet/val.parquet").exists()


RTD_ON_GPU = ["vgg5-scenes_eps0-s0", "wrn10_1-scenes_l2_eps1-s0"]


def test_a_measure_on_a_gpu_has_its_rule_its_gpu_and_a_word_on_what_is_missing(tree, tmp_path):
    # The tests' environment has no ripserplusplus; one of conda's own would bring it.
    overlay = "compare: {measures: {rtd_gpu: {method: rtd, points: 50, engine: ripser++}}}\n"
    (tree / "config" / "gpu.yaml").write_text(overlay)
    cells = [f"results/compare/scenes/group/natural/rtd_gpu/{RTD_ON_GPU[0]}.parquet"]
    cells += [f"results/subgroups/scenes/group/natural/agreement/rtd_gpu/{RTD_ON_GPU[1]}.parquet"]
    asked = ["-n", *cells, "--configfile", "config/config.yaml", "config/gpu.yaml"]
    answer = snakemake(tree, *asked)
    assert answer.returncode and "needs the package ripserplusplus, which is not installed: build it" in said(answer)
    path = f"{conda_stand_in.install(tmp_path / 'conda')}:{os.environ['PATH']}"
    found = succeeded(snakemake(tree, *asked, "--sdm", "conda", "--profile", "slurm", PATH=path))
    jobs = dict(re.findall(r"^ *rule (\w+):\n(?:.*\n)*?^ +resources: (.*?)$", found, re.MULTILINE))
    assert "gpu=1" in jobs["compare_gpu"] and "gpu=1" in jobs["subgroups_gpu"]
    assert not {"compare", "subgroups"} & set(jobs)
