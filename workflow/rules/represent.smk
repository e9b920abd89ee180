"""
Represents images: logits, predictions and penultimate features of a model, and the outputs of its layers.

INPUTS:   results/train/{model}/weights.safetensors
          results/prep/{dataset}/{split}.lmdb (and .parquet)
          results/invert/{dataset}/{model}.lmdb, results/invert/{dataset}/{model}.parquet
          results/represent/{dataset}/inverted-{model}/{model}.parquet
OUTPUTS:  results/represent/{dataset}/{images}/{model}.parquet
          results/represent/{dataset}/crossed/{set}/{model}
          results/layers/{dataset}/{model}.parquet
"""


rule represent:
    """Extract logits, predictions and penultimate features of a model on an image set."""
    input:
        weights="results/train/{model}/weights.safetensors",
        base=PLAN.stands_on,
        images=ancient(images_of(PLAN.image_set)),
        manifest=manifests_of(PLAN.image_set),
    output:
        "<results>/represent/{dataset}/{images}/{model}.parquet",
    log:
        "<logs>/represent/{dataset}/{images}/{model}.log",
    benchmark:
        "<benchmarks>/represent/{dataset}/{images}/{model}.tsv"
    conda:
        "../../envs/represent.yaml"
    resources:
        mem_mb=ASKED.memory("represent"),
        runtime=ASKED.minutes("represent"),
    params:
        revision=2,
        seed=PLAN.seed_of_sample,
        precision=PLAN.config["precision"],
        sample=PLAN.sample,
        batch_size=uncounted(PLAN.config["represent"]["batch_size"]),
    script:
        "../scripts/represent.py"


rule cross:
    """Extract the same of a model and each model before it in a set, each on images inverted through the other."""
    input:
        weights="results/train/{model}/weights.safetensors",
        base=PLAN.stands_on,
        images=ancient("<results>/invert/{dataset}/{model}.lmdb"),
        manifest="<results>/invert/{dataset}/{model}.parquet",
        seen="<results>/represent/{dataset}/inverted-{model}/{model}.parquet",
        bases_above=PLAN.bases_above,
        weights_above=PLAN.each_above("results/train/{model}/weights.safetensors"),
        images_above=ancient(PLAN.each_above("<results>/invert/{dataset}/{model}.lmdb")),
        manifests_above=PLAN.each_above("<results>/invert/{dataset}/{model}.parquet"),
        seen_above=PLAN.each_above(
            "<results>/represent/{dataset}/inverted-{model}/{model}.parquet"
        ),
    output:
        directory("<results>/represent/{dataset}/crossed/{set}/{model}"),
    log:
        "<logs>/cross/{dataset}/{set}/{model}.log",
    benchmark:
        "<benchmarks>/cross/{dataset}/{set}/{model}.tsv"
    conda:
        "../../envs/represent.yaml"
    resources:
        mem_mb=ASKED.memory("cross"),
        runtime=ASKED.minutes("cross"),
    params:
        revision=1,
        above=uncounted(PLAN.names_above),
        precision=PLAN.config["precision"],
        batch_size=uncounted(PLAN.config["represent"]["batch_size"]),
        resume=PLAN.state("cross/{dataset}/{set}/{model}"),
    script:
        "../scripts/cross.py"


rule layers:
    """Extract the output of each layer of a model on held-out images, as one vector per image."""
    input:
        weights="results/train/{model}/weights.safetensors",
        base=PLAN.stands_on,
        images=ancient(images_of(PLAN.plain_store)),
        manifest=manifests_of(PLAN.plain_store),
    output:
        "<results>/layers/{dataset}/{model}.parquet",
    log:
        "<logs>/layers/{dataset}/{model}.log",
    benchmark:
        "<benchmarks>/layers/{dataset}/{model}.tsv"
    conda:
        "../../envs/represent.yaml"
    resources:
        mem_mb=ASKED.memory("layers"),
        runtime=ASKED.minutes("layers"),
    params:
        revision=1,
        seed=PLAN.config["seed"],
        precision=PLAN.config["precision"],
        sample=PLAN.config["represent"]["sample"],
        layers=PLAN.named_layers,
        pool=PLAN.config["represent"]["pool"],
        batch_size=uncounted(PLAN.config["represent"]["batch_size"]),
    script:
        "../scripts/layers.py"
