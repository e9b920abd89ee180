"""
Packs a data set: images as downloaded or generated, into one store per split; and shows what was packed.

INPUTS:   the `source` of the data set's row in config/datasets.tsv: a path must exist when a job needs it, an address is
          fetched by the rule `download`
OUTPUTS:  results/prep/{dataset}/{split}.lmdb
          results/prep/{dataset}/{split}.targets.lmdb (where targets are more than a label)
          results/prep/{dataset}/{split}.parquet
          results/prep/{dataset}/{split}.html
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
    wildcard_constraints:
        dataset=PLAN.pattern(PLAN.labelled),
    conda:
        "../../envs/prep.yaml"
    resources:
        mem_mb=ASKED.memory("prep"),
        runtime=ASKED.minutes("prep"),
    params:
        revision=3,
        seed=PLAN.seed_of_images,
        content=PLAN.content,
        dataset=uncounted(PLAN.prep_row),
        record=uncounted(PLAN.record),
    script:
        "../scripts/prep.py"


use rule prep as prep_dense with:
    # The same for data sets with label maps, depth or objects, which are stored beside the images.
    output:
        images="results/prep/{dataset}/{split}.lmdb",
        targets="results/prep/{dataset}/{split}.targets.lmdb",
        manifest=update("results/prep/{dataset}/{split}.parquet"),
    wildcard_constraints:
        dataset=PLAN.pattern(PLAN.dense),


rule browse:
    """Show a sample of a packed split with its targets, sizes and class counts, as a page."""
    input:
        PLAN.packed,
    output:
        "results/prep/{dataset}/{split}.html",
    log:
        "logs/browse/{dataset}/{split}.log",
    benchmark:
        "benchmarks/results/browse/{dataset}/{split}.tsv"
    conda:
        "../../envs/prep.yaml"
    resources:
        mem_mb=ASKED.memory("browse"),
        runtime=ASKED.minutes("browse"),
    params:
        revision=1,
        dataset=PLAN.browsed_row,
    script:
        "../scripts/browse.py"
