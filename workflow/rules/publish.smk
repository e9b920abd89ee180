"""
Publishes data sets and what attacks add to their images, as data sets of TensorFlow Datasets in the array_record format.

INPUTS:   results/prep/{dataset}/{split}.lmdb (and .parquet)
          results/perturb/{kind}/{dataset}/{model}/{attack}.lmdb, results/perturb/{kind}/{dataset}/{model}/{attack}.parquet
OUTPUTS:  results/tfds/{dataset}
          results/tfds_perturb/{kind}/{dataset}/{model}/{attack}
"""


rule publish:
    """Write a data set for TensorFlow Datasets, readable without TensorFlow."""
    input:
        images=ancient(images_of(PLAN.stores)),
        manifests=manifests_of(PLAN.stores),
    output:
        directory("results/tfds/{dataset}"),
    log:
        "logs/tfds/{dataset}.log",
    benchmark:
        "benchmarks/results/tfds/{dataset}.tsv"
    conda:
        "../../envs/prep.yaml"
    resources:
        mem_mb=ASKED.memory("publish"),
        runtime=ASKED.minutes("publish"),
    params:
        revision=1,
        dataset=PLAN.published_row,
    script:
        "../scripts/publish.py"


rule publish_perturbed:
    """Write what an attack adds to images for TensorFlow Datasets, with the clean image that each belongs to."""
    input:
        images=ancient("<results>/perturb/{kind}/{dataset}/{model}/{attack}.lmdb"),
        manifest="<results>/perturb/{kind}/{dataset}/{model}/{attack}.parquet",
    output:
        directory("<results>/tfds_perturb/{kind}/{dataset}/{model}/{attack}"),
    log:
        "<logs>/tfds_perturb/{kind}/{dataset}/{model}/{attack}.log",
    benchmark:
        "<benchmarks>/tfds_perturb/{kind}/{dataset}/{model}/{attack}.tsv"
    conda:
        "../../envs/prep.yaml"
    resources:
        mem_mb=ASKED.memory("publish_perturbed"),
        runtime=ASKED.minutes("publish_perturbed"),
    params:
        revision=1,
        dataset=PLAN.published_row,
    script:
        "../scripts/publish_perturbed.py"
