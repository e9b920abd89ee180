"""
Represents images: logits, predictions and penultimate features of a model.

INPUTS:   results/train/{model}/weights.safetensors, results/prep/{dataset}/{split}.lmdb (and .parquet)
OUTPUTS:  results/represent/{dataset}/{images}/{model}.parquet
"""


rule represent:
    """Extract logits, predictions and penultimate features of a model on an image set."""
    input:
        weights="results/train/{model}/weights.safetensors",
        images=PLAN.test_store,
    output:
        "results/represent/{dataset}/{images}/{model}.parquet",
    log:
        "logs/represent/{dataset}/{images}/{model}.log",
    benchmark:
        "benchmarks/results/represent/{dataset}/{images}/{model}.tsv"
    conda:
        "../../envs/represent.yaml"
    params:
        revision=1,
        seed=PLAN.config["seed"],
        precision=PLAN.config["precision"],
        sample=PLAN.config["represent"]["sample"],
        batch_size=PLAN.config["represent"]["batch_size"],
    script:
        "../scripts/represent.py"
