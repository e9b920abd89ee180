"""
Evaluates models on corrupted images, and stores such images where a set of corruptions asks for it.

INPUTS:   results/train/{model}/weights.safetensors
          results/prep/{dataset}/{split}.lmdb (and .parquet, and .targets.lmdb for models of dense tasks)
OUTPUTS:  results/corrupt/{dataset}/{model}/{corruptions}.parquet
          results/corrupted/{dataset}/{corruptions}/{corruption}-{severity}.lmdb
          results/corrupted/{dataset}/{corruptions}/{corruption}-{severity}.parquet
          results/corrupted/{dataset}/{corruptions}/examples.parquet
          results/robustness/{dataset}/{model}/{corruptions}.parquet
"""


rule corrupt:
    """Evaluate a model on held-out images under a set of corruptions, one row per image, type and severity."""
    input:
        weights="results/train/{model}/weights.safetensors",
        base=PLAN.stands_on,
        images=ancient(images_of(PLAN.clean_store)),
        manifest=manifests_of(PLAN.clean_store),
        targets=ancient(PLAN.clean_targets),
        corrupted=ancient(images_of(PLAN.corrupted_stores)),
        corrupted_manifest=manifests_of(PLAN.corrupted_stores),
        frosts=PLAN.frosts,
        published=ancient(PLAN.published_images),
    output:
        "<results>/corrupt/{dataset}/{model}/{corruptions}.parquet",
    log:
        "<logs>/corrupt/{dataset}/{model}/{corruptions}.log",
    benchmark:
        "<benchmarks>/corrupt/{dataset}/{model}/{corruptions}.tsv"
    wildcard_constraints:
        corruptions=PLAN.pattern(PLAN.corruptions),
    conda:
        "../../envs/corrupt.yaml"
    resources:
        mem_mb=ASKED.memory("corrupt"),
        runtime=ASKED.minutes("corrupt"),
    params:
        revision=2,
        seed=PLAN.seed_of_corruption,
        split=PLAN.clean_split,
        corruptions=PLAN.corrupted,
        precision="fp32",
        batch_size=uncounted(PLAN.config["corrupt"]["batch_size"]),
        resume=PLAN.state("corrupt/{dataset}/{model}/{corruptions}"),
    script:
        "../scripts/corrupt.py"


rule corrupted:
    """Store held-out images of a data set under one corruption."""
    input:
        images=ancient(images_of(PLAN.held_out)),
        manifest=manifests_of(PLAN.held_out),
        frosts=PLAN.frosts,
    output:
        images="<results>/corrupted/{dataset}/{corruptions}/{corruption}-{severity}.lmdb",
        manifest="<results>/corrupted/{dataset}/{corruptions}/{corruption}-{severity}.parquet",
    log:
        "<logs>/corrupted/{dataset}/{corruptions}/{corruption}-{severity}.log",
    benchmark:
        "<benchmarks>/corrupted/{dataset}/{corruptions}/{corruption}-{severity}.tsv"
    wildcard_constraints:
        corruptions=PLAN.pattern(PLAN.corruption_sets),
        corruption=PLAN.pattern(PLAN.corruption_types),
        severity="[1-5]",
    conda:
        "../../envs/corrupt.yaml"
    resources:
        mem_mb=ASKED.memory("corrupted"),
        runtime=ASKED.minutes("corrupted"),
    params:
        revision=2,
        seed=PLAN.config["seed"],
        corruption=PLAN.corruption,
    script:
        "../scripts/corrupted.py"


rule examples:
    """Show held-out images of a data set under every corruption at every severity."""
    input:
        images=ancient(images_of(PLAN.held_out)),
        manifest=manifests_of(PLAN.held_out),
        frosts=PLAN.frosts,
    output:
        "<results>/corrupted/{dataset}/{corruptions}/examples.parquet",
    log:
        "<logs>/corrupted/{dataset}/{corruptions}/examples.log",
    benchmark:
        "<benchmarks>/corrupted/{dataset}/{corruptions}/examples.tsv"
    wildcard_constraints:
        corruptions=PLAN.pattern(PLAN.corruption_sets),
    conda:
        "../../envs/corrupt.yaml"
    resources:
        mem_mb=ASKED.memory("examples"),
        runtime=ASKED.minutes("examples"),
    params:
        revision=2,
        seed=PLAN.config["seed"],
        corruptions=PLAN.exemplified,
    script:
        "../scripts/examples.py"


rule robustness:
    """Score a model under a set of corruptions: each condition, means and ratios, with intervals."""
    input:
        cells=PLAN.answers,
        reference=PLAN.reference,
    output:
        "<results>/robustness/{dataset}/{model}/{corruptions}.parquet",
    log:
        "<logs>/robustness/{dataset}/{model}/{corruptions}.log",
    benchmark:
        "<benchmarks>/robustness/{dataset}/{model}/{corruptions}.tsv"
    wildcard_constraints:
        corruptions=PLAN.pattern(PLAN.corruption_sets),
    conda:
        "../../envs/tabulate.yaml"
    resources:
        mem_mb=ASKED.memory("robustness"),
        runtime=ASKED.minutes("robustness"),
    params:
        revision=1,
        seed=PLAN.config["seed"],
        task=PLAN.task,
        corruptions=PLAN.scored_corruptions,
        draws=PLAN.config["corrupt"]["draws"],
    script:
        "../scripts/robustness.py"
