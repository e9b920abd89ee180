"""
Fetches the remote sources of the sheets, each once, through Snakemake's storage plugins. A file that exists is used as it
is: no rule makes it, so it is neither looked up nor fetched again. A deleted one is fetched again when it is needed.

INPUTS:   addresses in column `source` of config/datasets.tsv and the sheets of models
OUTPUTS:  resources/downloads/{file}
"""


rule download:
    """Fetch a remote source and check its SHA-256."""
    output:
        "resources/downloads/{file}",
    log:
        "logs/download/{file}.log",
    benchmark:
        "benchmarks/results/download/{file}.tsv"
    wildcard_constraints:
        file=PLAN.pattern(PLAN.awaited),
    # Run where snakemake runs: compute nodes of a cluster often have no network.
    localrule: True
    conda:
        "../../envs/download.yaml"
    params:
        revision=1,
        source=PLAN.address,
        about=uncounted(PLAN.download),
        resume="results/.resume/download/{file}",  # one job at a time fetches a file
    script:
        "../scripts/download.py"
