"""
Collects the rows of figures 7 to 11 and of the accuracy tables from the cells of the attack stage.

INPUTS:   results/{attack,effectiveness,convergence,semantics}/..., resources/published/...
OUTPUTS:  results/tables/{figure}.parquet
          results/tables/{figure}.html
"""


rule tabulate:
    """Collect the rows of a figure or summary table."""
    input:
        cells=lambda wildcards: PLAN.cells(wildcards.figure),
        beside=lambda wildcards: PLAN.beside(wildcards.figure),
    output:
        table="results/tables/{figure}.parquet",
        page=report(
            "results/tables/{figure}.html",
            caption="../report/caption.rst",
            category="Tables",
            labels=lambda wildcards: {
                "table": wildcards.figure,
                "shows": PLAN.shows(wildcards.figure),
            },
        ),
    log:
        "logs/tables/{figure}.log",
    benchmark:
        "benchmarks/results/tables/{figure}.tsv"
    wildcard_constraints:
        figure=PLAN.pattern(set(PLAN.config["figures"]) - {"fig5"}),
    conda:
        "../../envs/attack.yaml"
    params:
        revision=1,
        seed=PLAN.config["seed"],
        options=lambda wildcards: PLAN.figure(wildcards.figure),
        caption=lambda wildcards: PLAN.caption(wildcards.figure),
    script:
        "../scripts/tabulate.py"
