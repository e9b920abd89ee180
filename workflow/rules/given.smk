"""
Reports what is missing: a folder, archive or checkpoint that a sheet names and that does not exist. Such a job runs first
and fails at once, before any other waits in a queue. A source that was deleted after packing or conversion is not needed.

INPUTS:   nothing
OUTPUTS:  paths in column `source` of config/datasets.tsv and the sheets of models, which nothing makes
"""


rule given:
    """Say which source of the sheets is missing, and how to get it."""
    output:
        "{path}",
    log:
        "logs/given/{path}.log",
    benchmark:
        "benchmarks/results/given/{path}.tsv"
    wildcard_constraints:
        path=PLAN.absent_paths,
    localrule: True
    conda:
        "../../envs/download.yaml"
    params:
        revision=1,
        sentence=PLAN.missing,
    script:
        "../scripts/given.py"
