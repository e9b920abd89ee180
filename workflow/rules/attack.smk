"""
Attacks models: every held-out image of a data set, clean and attacked.

INPUTS:   results/train/{model}/weights.safetensors, results/prep/{dataset}/{split}.lmdb (and .parquet)
OUTPUTS:  results/attack/{dataset}/{model}/{attack}.parquet
          results/tables/accuracy.parquet
          results/tables/accuracy.html
"""


rule attack:
    """Attack a model on the held-out images of its data set, one row per image."""
    input:
        weights="results/train/{model}/weights.safetensors",
        images=PLAN.test_store,
    output:
        "results/attack/{dataset}/{model}/{attack}.parquet",
    log:
        "logs/attack/{dataset}/{model}/{attack}.log",
    benchmark:
        "benchmarks/results/attack/{dataset}/{model}/{attack}.tsv"
    conda:
        "../../envs/attack.yaml"
    params:
        revision=1,
        seed=PLAN.config["seed"],
        dataset=PLAN.dataset_row,
        attack=PLAN.attack,
        precision=PLAN.config["precision"],
        batch_size=PLAN.config["attack"]["batch_size"],
    script:
        "../scripts/attack.py"


rule tabulate_accuracy:
    """Sum up clean and attacked accuracy of all models, with intervals."""
    input:
        PLAN.accuracy_cells(),
    output:
        table="results/tables/accuracy.parquet",
        page=report(
            "results/tables/accuracy.html",
            caption="../report/accuracy.rst",
            category="Tables",
            labels={"table": "accuracy", "shows": "clean and attacked accuracy"},
        ),
    log:
        "logs/tables/accuracy.log",
    benchmark:
        "benchmarks/results/tables/accuracy.tsv"
    conda:
        "../../envs/attack.yaml"
    params:
        revision=1,
        seed=PLAN.config["seed"],
    script:
        "../scripts/tabulate_accuracy.py"
