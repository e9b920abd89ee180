"""
Draws figures from their tables.

INPUTS:   results/tables/fig5.parquet
OUTPUTS:  results/figures/fig5.pdf, results/figures/fig5.png
"""


rule fig5:
    """Draw figure 5: similarity on agreeing and disagreeing images, by eps."""
    input:
        "results/tables/fig5.parquet",
    output:
        pdf="results/figures/fig5.pdf",
        png=report(
            "results/figures/fig5.png",
            caption="../report/fig5.rst",
            category="Figures",
            labels={
                "figure": "5",
                "shows": "similarity on agreeing and disagreeing images",
            },
        ),
    log:
        "logs/figures/fig5.log",
    benchmark:
        "benchmarks/results/figures/fig5.tsv"
    conda:
        "../../envs/plot.yaml"
    params:
        revision=1,
        seed=PLAN.config["seed"],
    script:
        "../scripts/fig5.py"
