"""
Makes weights: trains a model from its recipe, or converts a published checkpoint; and writes the card of a model.

INPUTS:   results/prep/{dataset}/{split}.lmdb (and .parquet), or the `source` of the model's row
OUTPUTS:  results/train/{model}/weights.safetensors
          results/train/{model}/epochs.parquet (trained models)
          results/train/{model}/checkpoints (trained models; the epochs that the recipe names)
          results/cards/{model}.md
"""


rule train:
    """Train a model from its recipe; a killed job resumes where it was."""
    input:
        train=ancient(images_of(PLAN.train_store)),
        train_manifest=manifests_of(PLAN.train_store),
        test=ancient(images_of(PLAN.test_store)),
        test_manifest=manifests_of(PLAN.test_store),
        mixed=ancient(images_of(PLAN.mixed_store)),
        mixed_manifest=manifests_of(PLAN.mixed_store),
        base=PLAN.base_weights,
        code=PLAN.code,
    output:
        weights="results/train/{model}/weights.safetensors",
        epochs="results/train/{model}/epochs.parquet",
        checkpoints=directory("results/train/{model}/checkpoints"),
    log:
        "logs/train/{model}.log",
    benchmark:
        "benchmarks/results/train/{model}.tsv"
    wildcard_constraints:
        model=PLAN.pattern(PLAN.trained),
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=ASKED.memory("train"),
        runtime=ASKED.minutes("train"),
    params:
        revision=2,
        model=PLAN.trained_row,
        recipe=PLAN.recipe,
        resume="results/.resume/{model}",
        logs="logs/train/{model}",
    script:
        "../scripts/train.py"


rule convert:
    """Convert a published checkpoint to weights with metadata."""
    input:
        PLAN.model_source,
        code=PLAN.code,
    output:
        weights=update("results/train/{model}/weights.safetensors"),
    log:
        "logs/convert/{model}.log",
    benchmark:
        "benchmarks/results/convert/{model}.tsv"
    wildcard_constraints:
        model=PLAN.pattern(PLAN.converted),
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=ASKED.memory("convert"),
        runtime=ASKED.minutes("convert"),
    params:
        revision=2,
        model=PLAN.converted_row,
        recipe=PLAN.preprocessing,
        sha256=uncounted(PLAN.sha256),
        said=uncounted(PLAN.said),
    script:
        "../scripts/convert.py"


rule card:
    """Write the card of a model: source, licence, input, classes, published accuracies, what to cite."""
    input:
        "results/train/{model}/weights.safetensors",
    output:
        "<results>/cards/{model}.md",
    log:
        "<logs>/card/{model}.log",
    benchmark:
        "<benchmarks>/card/{model}.tsv"
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=ASKED.memory("card"),
        runtime=ASKED.minutes("card"),
    params:
        revision=1,
        said=PLAN.card,
    script:
        "../scripts/card.py"
