"""
Packs a data set: images as downloaded or generated, into one store per split.

INPUTS:   the `source` of the data set's row in config/datasets.tsv: a path is looked for when a job needs it, an address is
          fetched by the rule `download`
OUTPUTS:  results/prep/{dataset}/{split}.lmdb
          results/prep/{dataset}/{split}.parquet
"""


rule prep:
    """Pack one split of a data set as an image store with its manifest."""
    input:
        PLAN.dataset_source,
    output:
        images="results/prep/{dataset}/{split}.lmdb",
        manifest=update("results/prep/{dataset}/{split}.parquet"),
    log:
        "logs/prep/{dataset}/{split}.log",
    benchmark:
        "benchmarks/results/prep/{dataset}/{split}.tsv"
    conda:
        "../../envs/prep.yaml"
    resources:
        mem_mb=ASKED.memory("prep"),
        runtime=ASKED.minutes("prep"),
    params:
        revision=2,
        seed=PLAN.seed_of_images,
        content=PLAN.content,
        dataset=uncounted(PLAN.prep_row),
        record=uncounted(PLAN.record),
    script:
        "../scripts/prep.py"
