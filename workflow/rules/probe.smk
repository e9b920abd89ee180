"""
Probes models: new linear heads on the features of each, and the agreement of heads of different models.

INPUTS:   results/represent/{dataset}/train/{model}.parquet, results/represent/{dataset}/natural/{model}.parquet
OUTPUTS:  results/probe/{dataset}/{model}.parquet
          results/probe/{dataset}/{model}.epochs.parquet
          results/probe_agree/{dataset}/{set}/{model}.parquet
"""


rule probe:
    """Train linear probes on a model's features of the training images, and have them classify all images."""
    input:
        train="<results>/represent/{dataset}/train/{model}.parquet",
        natural="<results>/represent/{dataset}/natural/{model}.parquet",
    output:
        answers="<results>/probe/{dataset}/{model}.parquet",
        epochs="<results>/probe/{dataset}/{model}.epochs.parquet",
    log:
        "<logs>/probe/{dataset}/{model}.log",
    benchmark:
        "<benchmarks>/probe/{dataset}/{model}.tsv"
    conda:
        "../../envs/probe.yaml"
    resources:
        mem_mb=ASKED.memory("probe"),
        runtime=ASKED.minutes("probe"),
    params:
        revision=1,
        seed=PLAN.config["seed"],
        options=PLAN.config["probe"],
        classes=PLAN.classes,
    script:
        "../scripts/probe.py"


rule probe_agree:
    """Measure how often a model and each model before it in a set agree, by their own heads and by probes."""
    input:
        own="<results>/probe/{dataset}/{model}.parquet",
        others=PLAN.each_above("<results>/probe/{dataset}/{model}.parquet"),
    output:
        "<results>/probe_agree/{dataset}/{set}/{model}.parquet",
    log:
        "<logs>/probe_agree/{dataset}/{set}/{model}.log",
    benchmark:
        "<benchmarks>/probe_agree/{dataset}/{set}/{model}.tsv"
    conda:
        "../../envs/probe.yaml"
    resources:
        mem_mb=ASKED.memory("probe_agree"),
        runtime=ASKED.minutes("probe_agree"),
    params:
        revision=1,
        pair=PLAN.pairs,
    script:
        "../scripts/probe_agree.py"
