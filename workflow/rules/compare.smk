"""
Compares models: similarity to the models above in the sheet, on all images and on agreeing and disagreeing ones.

INPUTS:   results/represent/{dataset}/{images}/{model}.parquet
OUTPUTS:  results/compare/{dataset}/{images}/{measure}/{model}.parquet
          results/subgroups/{dataset}/{images}/{measure}/{model}.parquet
          results/tables/fig5.parquet
          results/tables/fig5.html
"""


rule compare:
    """Score a model's similarity to each model above it in the sheet."""
    input:
        own="results/represent/{dataset}/{images}/{model}.parquet",
        others=PLAN.represented,
    output:
        "results/compare/{dataset}/{images}/{measure}/{model}.parquet",
    log:
        "logs/compare/{dataset}/{images}/{measure}/{model}.log",
    benchmark:
        "benchmarks/results/compare/{dataset}/{images}/{measure}/{model}.tsv"
    conda:
        "../../envs/compare.yaml"
    params:
        revision=1,
        seed=PLAN.config["seed"],
        measure=PLAN.measure,
        pair=PLAN.pairs,
    script:
        "../scripts/compare.py"


rule subgroups:
    """Score the same similarity on images where the two models agree and where they disagree."""
    input:
        own="results/represent/{dataset}/{images}/{model}.parquet",
        others=PLAN.represented,
    output:
        "results/subgroups/{dataset}/{images}/{measure}/{model}.parquet",
    log:
        "logs/subgroups/{dataset}/{images}/{measure}/{model}.log",
    benchmark:
        "benchmarks/results/subgroups/{dataset}/{images}/{measure}/{model}.tsv"
    conda:
        "../../envs/compare.yaml"
    params:
        revision=1,
        seed=PLAN.config["seed"],
        measure=PLAN.measure,
        pair=PLAN.pairs,
        draws=PLAN.config["compare"]["draws"],
    script:
        "../scripts/subgroups.py"


rule tabulate_fig5:
    """Collect the rows of figure 5 and test its contrasts."""
    input:
        PLAN.cells("fig5"),
    output:
        table="results/tables/fig5.parquet",
        page=report(
            "results/tables/fig5.html",
            caption="../report/fig5_table.rst",
            category="Tables",
            labels={"table": "fig5", "shows": "tests of the contrasts"},
        ),
    log:
        "logs/tables/fig5.log",
    benchmark:
        "benchmarks/results/tables/fig5.tsv"
    conda:
        "../../envs/compare.yaml"
    params:
        revision=1,
        seed=PLAN.config["seed"],
        models=PLAN.fig5_models(),
        resamples=PLAN.config["figures"].get("fig5", {}).get("resamples"),
    script:
        "../scripts/tabulate_fig5.py"
