"""
Trains models of segmentation, detection and depth, on the backbone of another model or from random weights, and heads of
segmentation and depth on frozen networks; or converts published ones.

INPUTS:   results/prep/{dataset}/{split}.lmdb, .targets.lmdb and .parquet
          results/train/{base}/weights.safetensors (models with a base)
          published checkpoints (column source of the models' sheet)
OUTPUTS:  results/train/{model}/weights.safetensors
          results/train/{model}/epochs.parquet
"""


rule transfer:
    """Train a model of a dense task from its recipe; a killed job resumes where it was."""
    input:
        train=ancient(images_of(PLAN.train_store)),
        train_targets=ancient(PLAN.train_targets),
        train_manifest=manifests_of(PLAN.train_store),
        test=ancient(images_of(PLAN.test_store)),
        test_targets=ancient(PLAN.test_targets),
        test_manifest=manifests_of(PLAN.test_store),
        base=PLAN.base_weights,
        code=PLAN.code,
    output:
        weights="results/train/{model}/weights.safetensors",
        epochs="results/train/{model}/epochs.parquet",
    log:
        "logs/transfer/{model}.log",
    benchmark:
        "benchmarks/results/transfer/{model}.tsv"
    wildcard_constraints:
        model=PLAN.pattern(PLAN.transferred),
    conda:
        "../../envs/transfer.yaml"
    resources:
        mem_mb=ASKED.memory("transfer"),
        runtime=ASKED.minutes("transfer"),
    params:
        revision=1,
        model=PLAN.transferred_row,
        recipe=PLAN.recipe,
        resume="results/.resume/{model}",
    script:
        "../scripts/transfer.py"


rule convert_dense:
    """Convert a published segmenter, detector or head of such a task to weights with metadata."""
    input:
        PLAN.model_source,
        base=PLAN.base_of_head,
        code=PLAN.code,
    output:
        weights=update("results/train/{model}/weights.safetensors"),
    log:
        "logs/convert_dense/{model}.log",
    benchmark:
        "benchmarks/results/convert_dense/{model}.tsv"
    wildcard_constraints:
        model=PLAN.pattern(PLAN.converted_dense),
    conda:
        "../../envs/transfer.yaml"
    resources:
        mem_mb=ASKED.memory("convert_dense"),
        runtime=ASKED.minutes("convert_dense"),
    params:
        revision=1,
        model=PLAN.converted_dense_row,
        recipe=PLAN.dense_network,
        sha256=uncounted(PLAN.sha256),
        said=uncounted(PLAN.said),
    script:
        "../scripts/convert_dense.py"
