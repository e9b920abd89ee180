"""
Represents images: logits, predictions and penultimate features of a model.

INPUTS:   results/train/{model}/weights.safetensors
          results/prep/{dataset}/{split}.lmdb (and .parquet), results/invert/{dataset}/{model}.lmdb (and .parquet)
OUTPUTS:  results/represent/{dataset}/{images}/{model}.parquet
"""


rule represent:
    """Extract logits, predictions and penultimate features of a model on an image set."""
    input:
        weights="results/train/{model}/weights.safetensors",
        images=PLAN.image_set,
    output:
        "results/represent/{dataset}/{images}/{model}.parquet",
    log:
        "logs/represent/{dataset}/{images}/{model}.log",
    benchmark:
        "benchmarks/results/represent/{dataset}/{images}/{model}.tsv"
    conda:
        "../../envs/represent.yaml"
    params:
        revision=2,
        seed=PLAN.config["seed"],
        precision=PLAN.config["precision"],
        sample=PLAN.sample,
        batch_size=PLAN.config["represent"]["batch_size"],
    script:
        "../scripts/represent.py"
