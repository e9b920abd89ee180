"""
Draws figures from their tables.

INPUTS:   results/tables/{figure}.parquet
OUTPUTS:  results/figures/{figure}.pdf, results/figures/{figure}.png
"""


rule figure:
    """Draw a figure from its table."""
    input:
        "<results>/tables/{figure}.parquet",
    output:
        pdf="<results>/figures/{figure}.pdf",
        png=report(
            "<results>/figures/{figure}.png",
            caption="../report/caption.rst",
            category="Figures",
            labels=PLAN.labels,
        ),
    log:
        "<logs>/figures/{figure}.log",
    benchmark:
        "<benchmarks>/figures/{figure}.tsv"
    wildcard_constraints:
        figure=PLAN.pattern(PLAN.drawn),
    conda:
        "../../envs/plot.yaml"
    resources:
        mem_mb=ASKED.memory("figure"),
        runtime=ASKED.minutes("figure"),
    params:
        revision=3,
    script:
        "../scripts/figure.py"
