"""
Publishes data sets and adversarial perturbations of their images as data sets of TensorFlow Datasets in the array_record
format; writes the files that other projects expect in place of a published data set; and models in the forms in which
RobustBench and Hugging Face take them.

INPUTS:   results/prep/{dataset}/{split}.lmdb (and .parquet)
          results/perturb/{kind}/{dataset}/{model}/{attack}.lmdb, results/perturb/{kind}/{dataset}/{model}/{attack}.parquet
          the `source` of the data set's row in config/datasets.tsv
          results/train/{model}/weights.safetensors
          results/attack/{dataset}/{model}/{attack}.parquet
OUTPUTS:  results/tfds/{dataset}
          results/dinov2/{dataset}
          results/mmseg/{dataset}
          results/tfds_perturb/{kind}/{dataset}/{model}/{attack}
          results/published/{model}.json, results/published/{model}.parquet
          results/hub/{model}
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
    """Write perturbations or attacked images for TensorFlow Datasets, each with its clean image."""
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


rule dinov2_arrays:
    """Write the arrays that DINOv2 reads beside the images of an ImageNet-like folder."""
    input:
        PLAN.sources,
    output:
        directory("results/dinov2/{dataset}"),
    log:
        "logs/dinov2/{dataset}.log",
    benchmark:
        "benchmarks/results/dinov2/{dataset}.tsv"
    wildcard_constraints:
        dataset=PLAN.pattern(PLAN.folders),
    conda:
        "../../envs/prep.yaml"
    resources:
        mem_mb=ASKED.memory("dinov2_arrays"),
        runtime=ASKED.minutes("dinov2_arrays"),
    params:
        revision=1,
        dataset=PLAN.source_row,
    script:
        "../scripts/dinov2_arrays.py"


rule mmseg_folders:
    """Copy NYU Depth v2 into the folders that mmsegmentation expects."""
    input:
        PLAN.sources,
    output:
        directory("results/mmseg/{dataset}"),
    log:
        "logs/mmseg/{dataset}.log",
    benchmark:
        "benchmarks/results/mmseg/{dataset}.tsv"
    wildcard_constraints:
        dataset=PLAN.pattern(PLAN.nyu),
    conda:
        "../../envs/prep.yaml"
    resources:
        mem_mb=ASKED.memory("mmseg_folders"),
        runtime=ASKED.minutes("mmseg_folders"),
    params:
        revision=1,
        dataset=PLAN.source_row,
    script:
        "../scripts/mmseg_folders.py"


rule submission:
    """Write a model as RobustBench takes submissions, from its attacked images, and its answers for every image."""
    input:
        PLAN.submitted_cells,
    output:
        submission="<results>/published/{model}.json",
        masks="<results>/published/{model}.parquet",
    log:
        "<logs>/published/{model}.log",
    benchmark:
        "<benchmarks>/published/{model}.tsv"
    conda:
        "../../envs/tabulate.yaml"
    resources:
        mem_mb=ASKED.memory("submission"),
        runtime=ASKED.minutes("submission"),
    params:
        revision=1,
        facts=PLAN.submission,
    script:
        "../scripts/submission.py"


rule hub:
    """Write a classifier of timm as a folder for Hugging Face: weights, configuration and card."""
    input:
        weights="results/train/{model}/weights.safetensors",
        cells=PLAN.shown_cells,
        code=PLAN.code,
    output:
        directory("<results>/hub/{model}"),
    log:
        "<logs>/hub/{model}.log",
    benchmark:
        "<benchmarks>/hub/{model}.tsv"
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=ASKED.memory("hub"),
        runtime=ASKED.minutes("hub"),
    params:
        revision=1,
        said=PLAN.handed_on,
    script:
        "../scripts/hub.py"
