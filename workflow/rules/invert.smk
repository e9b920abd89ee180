"""
Inverts models: images that a model represents like a target image although they began as another one.

INPUTS:   results/train/{model}/weights.safetensors, results/prep/{dataset}/{split}.lmdb (and .parquet)
          results/pairs/{dataset}.parquet
OUTPUTS:  results/pairs/{dataset}.parquet
          results/invert/{dataset}/{model}.lmdb
          results/invert/{dataset}/{model}.parquet
"""


rule pair:
    """Draw seeds and targets among the held-out images of a data set, shared by all models."""
    input:
        images=ancient(images_of(PLAN.pair_store)),
        manifest=manifests_of(PLAN.pair_store),
    output:
        "<results>/pairs/{dataset}.parquet",
    log:
        "<logs>/pair/{dataset}.log",
    benchmark:
        "<benchmarks>/pair/{dataset}.tsv"
    conda:
        "../../envs/invert.yaml"
    resources:
        mem_mb=ASKED.memory("pair"),
        runtime=ASKED.minutes("pair"),
    params:
        revision=1,
        seed=PLAN.config["seed"],
        split=PLAN.test_split,
        images=PLAN.config["invert"]["images"],
    script:
        "../scripts/pair.py"


rule invert:
    """Invert a model: from each seed to an image that it represents like the target."""
    input:
        weights="results/train/{model}/weights.safetensors",
        pairs="<results>/pairs/{dataset}.parquet",
        images=ancient(images_of(PLAN.test_store)),
        manifest=manifests_of(PLAN.test_store),
    output:
        images="<results>/invert/{dataset}/{model}.lmdb",
        manifest="<results>/invert/{dataset}/{model}.parquet",
    log:
        "<logs>/invert/{dataset}/{model}.log",
    benchmark:
        "<benchmarks>/invert/{dataset}/{model}.tsv"
    conda:
        "../../envs/invert.yaml"
    resources:
        mem_mb=ASKED.memory("invert"),
        runtime=ASKED.minutes("invert"),
    params:
        revision=1,
        options=PLAN.inversion,
        precision=PLAN.config["precision"],
        batch_size=uncounted(PLAN.config["invert"]["batch_size"]),
        checkpoint_seconds=uncounted(PLAN.config["invert"]["checkpoint_seconds"]),
        resume=PLAN.state("invert/{dataset}/{model}"),
    script:
        "../scripts/invert.py"
