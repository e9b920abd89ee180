"""
Inverts models: images that a model represents like a target image, although they started from another one.

INPUTS:   results/train/{model}/weights.safetensors, results/prep/{dataset}/{split}.lmdb (and .parquet)
          results/pairs/{dataset}.parquet
          lists in `invert.lists` and files in column `inverted` of the sheets of models, where images are published
OUTPUTS:  results/pairs/{dataset}.parquet
          results/invert/{dataset}/{model}.lmdb
          results/invert/{dataset}/{model}.parquet
"""


rule pair:
    """Draw seeds and targets among the held-out images of a data set, shared by all models."""
    input:
        images=ancient(images_of(PLAN.held_out)),
        manifest=manifests_of(PLAN.held_out),
    output:
        "<results>/pairs/{dataset}.parquet",
    log:
        "<logs>/pair/{dataset}.log",
    benchmark:
        "<benchmarks>/pair/{dataset}.tsv"
    wildcard_constraints:
        dataset=PLAN.pattern(PLAN.drawn_pairs),
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


rule pair_listed:
    """Take seeds and targets from the lists that published inverted images were made from."""
    input:
        lists=PLAN.pair_lists,
        images=ancient(images_of(PLAN.held_out)),
        manifest=manifests_of(PLAN.held_out),
    output:
        "<results>/pairs/{dataset}.parquet",
    log:
        "<logs>/pair_listed/{dataset}.log",
    benchmark:
        "<benchmarks>/pair_listed/{dataset}.tsv"
    wildcard_constraints:
        dataset=PLAN.pattern(PLAN.config["invert"]["lists"]),
    conda:
        "../../envs/invert.yaml"
    resources:
        mem_mb=ASKED.memory("pair_listed"),
        runtime=ASKED.minutes("pair_listed"),
    params:
        revision=1,
        split=PLAN.test_split,
        lists=PLAN.lists,
    script:
        "../scripts/pair_listed.py"


rule invert:
    """Invert a model: from each seed to an image that it represents like the target."""
    input:
        weights="results/train/{model}/weights.safetensors",
        base=PLAN.stands_on,
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
    wildcard_constraints:
        model=PLAN.pattern(PLAN.inverted_here),
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


rule take_inverted:
    """Take published images that were inverted through a model."""
    input:
        source=PLAN.inverted_source,
        weights="results/train/{model}/weights.safetensors",
        base=PLAN.stands_on,
        pairs="<results>/pairs/{dataset}.parquet",
        images=ancient(images_of(PLAN.test_store)),
        manifest=manifests_of(PLAN.test_store),
    output:
        images="<results>/invert/{dataset}/{model}.lmdb",
        manifest="<results>/invert/{dataset}/{model}.parquet",
    log:
        "<logs>/take_inverted/{dataset}/{model}.log",
    benchmark:
        "<benchmarks>/take_inverted/{dataset}/{model}.tsv"
    wildcard_constraints:
        model=PLAN.pattern(PLAN.inverted_elsewhere),
    conda:
        "../../envs/invert.yaml"
    resources:
        mem_mb=ASKED.memory("take_inverted"),
        runtime=ASKED.minutes("take_inverted"),
    params:
        revision=1,
        model=PLAN.inverted_row,
        lists=PLAN.lists,
        precision=PLAN.config["precision"],
        batch_size=uncounted(PLAN.config["invert"]["batch_size"]),
    script:
        "../scripts/take_inverted.py"
