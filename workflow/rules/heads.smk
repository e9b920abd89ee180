"""
Trains heads of classification on the frozen networks of their bases, or takes published ones.

INPUTS:   results/train/{base}/weights.safetensors (and those of its own base, for a network with robustness tokens)
          results/prep/{dataset}/{split}.lmdb (and .parquet)
          published heads, or results/train/{model}/weights.safetensors of another head (column source of the models' sheet)
OUTPUTS:  results/train/{model}/weights.safetensors
          results/train/{model}/heads.parquet
"""


rule head:
    """Train heads of classification on a frozen network, and keep the best; a killed job resumes where it was."""
    input:
        train=ancient(images_of(PLAN.train_store)),
        train_manifest=manifests_of(PLAN.train_store),
        base=PLAN.base_weights,
    output:
        weights="results/train/{model}/weights.safetensors",
        heads="results/train/{model}/heads.parquet",
    log:
        "logs/head/{model}.log",
    benchmark:
        "benchmarks/results/head/{model}.tsv"
    wildcard_constraints:
        model=PLAN.pattern(PLAN.headed),
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=ASKED.memory("head"),
        runtime=ASKED.minutes("head"),
    params:
        revision=1,
        model=PLAN.head_row,
        recipe=PLAN.head_recipe,
        resume="results/.resume/{model}",
    script:
        "../scripts/head.py"


rule convert_head:
    """Convert a published head of classification, or that of another row, to weights with metadata."""
    input:
        source=PLAN.model_source,
        base=PLAN.base_weights,
    output:
        weights=update("results/train/{model}/weights.safetensors"),
    log:
        "logs/convert_head/{model}.log",
    benchmark:
        "benchmarks/results/convert_head/{model}.tsv"
    wildcard_constraints:
        model=PLAN.pattern(PLAN.converted_heads),
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=ASKED.memory("convert_head"),
        runtime=ASKED.minutes("convert_head"),
    params:
        revision=1,
        model=PLAN.published_head_row,
        recipe=PLAN.published_head_recipe,
        sha256=uncounted(PLAN.sha256),
        said=uncounted(PLAN.said),
    script:
        "../scripts/convert_head.py"
