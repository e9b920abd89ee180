"""
Collects the rows of figures and of summary tables.

INPUTS:   cells of the rules attack, effectiveness, convergence, semantics, pair, compare, subgroups, agree, probe_agree;
          image stores; sheets in resources/published
OUTPUTS:  results/tables/{figure}.parquet
          results/tables/{figure}.html
"""


rule tabulate_figure:
    """Collect the rows of a figure or summary table."""
    input:
        cells=PLAN.cells,
        beside=PLAN.beside,
    output:
        table="<results>/tables/{figure}.parquet",
        page=report(
            "<results>/tables/{figure}.html",
            caption="../report/table.rst",
            category="Tables",
            labels=PLAN.labels,
        ),
    log:
        "<logs>/tables/{figure}.log",
    benchmark:
        "<benchmarks>/tables/{figure}.tsv"
    wildcard_constraints:
        figure=PLAN.pattern(PLAN.tabulated),
    conda:
        "../../envs/tabulate.yaml"
    resources:
        mem_mb=ASKED.memory("tabulate_figure"),
        runtime=ASKED.minutes("tabulate_figure"),
    params:
        revision=6,
        seed=PLAN.seed_of_figure,
        options=PLAN.figure,
    script:
        "../scripts/tabulate_figure.py"
