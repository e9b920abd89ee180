"""
Trains robustness tokens for frozen networks, and measures how far attacks move features and activations.

INPUTS:   results/train/{model}/weights.safetensors (of the base, for tokens)
          results/prep/{dataset}/{split}.lmdb (and .parquet)
          published tokens (column source of the models' sheet)
OUTPUTS:  results/train/{model}/weights.safetensors
          results/train/{model}/steps.parquet
          results/train/{model}/attacked/{shared}.npy, results/train/{model}/attacked/{shared}.parquet
          results/train/{model}/dinov2.pth, results/train/{model}/dinov2.yaml
          results/drift/{dataset}/{model}/{drift}.parquet
          results/activations/{dataset}/{model}/{drift}.parquet, results/activations/{dataset}/{model}/{drift}.surface.parquet
"""


rule tokens:
    """Train robustness tokens for the frozen network of a base; a killed job resumes where it was."""
    input:
        train=ancient(images_of(PLAN.train_store)),
        train_manifest=manifests_of(PLAN.train_store),
        base=PLAN.base_weights,
        attacked=PLAN.shared_attack,
    output:
        weights="results/train/{model}/weights.safetensors",
        steps="results/train/{model}/steps.parquet",
    log:
        "logs/tokens/{model}.log",
    benchmark:
        "benchmarks/results/tokens/{model}.tsv"
    wildcard_constraints:
        model=PLAN.pattern(PLAN.hardened),
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=ASKED.memory("tokens"),
        runtime=ASKED.minutes("tokens"),
    params:
        revision=1,
        model=PLAN.tokens_row,
        recipe=PLAN.tokens_recipe,
        resume="results/.resume/{model}",
    script:
        "../scripts/tokens.py"


rule share_attack:
    """Attack the images of all updates once, for every training of robustness tokens that has them in common."""
    input:
        train=ancient(images_of(PLAN.train_store)),
        train_manifest=manifests_of(PLAN.train_store),
        base="results/train/{model}/weights.safetensors",
    output:
        images="results/train/{model}/attacked/{shared}.npy",
        table="results/train/{model}/attacked/{shared}.parquet",
    log:
        "logs/share_attack/{model}/{shared}.log",
    benchmark:
        "benchmarks/results/share_attack/{model}/{shared}.tsv"
    wildcard_constraints:
        shared="[0-9a-f]{12}",
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=ASKED.memory("share_attack"),
        runtime=ASKED.minutes("share_attack"),
    params:
        revision=1,
        shared=PLAN.attack_to_share,
        resume="results/.resume/{model}/attacked/{shared}",
    script:
        "../scripts/share_attack.py"


rule convert_tokens:
    """Convert published robustness tokens to weights with metadata."""
    input:
        source=PLAN.model_source,
        base=PLAN.base_weights,
    output:
        weights=update("results/train/{model}/weights.safetensors"),
    log:
        "logs/convert_tokens/{model}.log",
    benchmark:
        "benchmarks/results/convert_tokens/{model}.tsv"
    wildcard_constraints:
        model=PLAN.pattern(PLAN.converted_tokens),
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=ASKED.memory("convert_tokens"),
        runtime=ASKED.minutes("convert_tokens"),
    params:
        revision=1,
        model=PLAN.published_tokens_row,
        recipe=PLAN.published_tokens_recipe,
        sha256=uncounted(PLAN.sha256),
        said=uncounted(PLAN.said),
    script:
        "../scripts/convert_tokens.py"


rule registers:
    """Write DINOv2 with robustness tokens as its authors' checkpoint, in which the tokens are registers."""
    input:
        weights="results/train/{model}/weights.safetensors",
        base=PLAN.base_weights,
    output:
        weights="results/train/{model}/dinov2.pth",
        config="results/train/{model}/dinov2.yaml",
    log:
        "logs/registers/{model}.log",
    benchmark:
        "benchmarks/results/registers/{model}.tsv"
    wildcard_constraints:
        model=PLAN.pattern(PLAN.with_registers),
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=ASKED.memory("registers"),
        runtime=ASKED.minutes("registers"),
    params:
        revision=1,
    script:
        "../scripts/registers.py"


rule drift:
    """Attack the features of held-out images, and compare them with those of clean images, one row per image."""
    input:
        weights="results/train/{model}/weights.safetensors",
        through=PLAN.through_weights,
        base=PLAN.foundation_weights,
        images=ancient(images_of(PLAN.test_store)),
        manifest=manifests_of(PLAN.test_store),
    output:
        "<results>/drift/{dataset}/{model}/{drift}.parquet",
    log:
        "<logs>/drift/{dataset}/{model}/{drift}.log",
    benchmark:
        "<benchmarks>/drift/{dataset}/{model}/{drift}.tsv"
    conda:
        "../../envs/attack.yaml"
    resources:
        mem_mb=ASKED.memory("drift"),
        runtime=ASKED.minutes("drift"),
    params:
        revision=1,
        seed=PLAN.config["seed"],
        split=PLAN.test_split,
        through=PLAN.attacked_through,
        attack=PLAN.drift,
        sample=PLAN.config["drift"]["images"],
        precision=PLAN.config["precision"],
        batch_size=uncounted(PLAN.config["drift"]["batch_size"]),
        resume=PLAN.state("drift/{dataset}/{model}/{drift}"),
    script:
        "../scripts/drift.py"


rule activations:
    """Find the largest activation of each block of a vision transformer, on clean images and on those that `drift` attacks."""
    input:
        weights="results/train/{model}/weights.safetensors",
        base=PLAN.stands_on,
        through=PLAN.through_weights,
        images=ancient(images_of(PLAN.test_store)),
        manifest=manifests_of(PLAN.test_store),
    output:
        largest="<results>/activations/{dataset}/{model}/{drift}.parquet",
        surface="<results>/activations/{dataset}/{model}/{drift}.surface.parquet",
    log:
        "<logs>/activations/{dataset}/{model}/{drift}.log",
    benchmark:
        "<benchmarks>/activations/{dataset}/{model}/{drift}.tsv"
    conda:
        "../../envs/attack.yaml"
    resources:
        mem_mb=ASKED.memory("activations"),
        runtime=ASKED.minutes("activations"),
    params:
        revision=1,
        seed=PLAN.config["seed"],
        split=PLAN.test_split,
        through=PLAN.attacked_through,
        attack=PLAN.drift,
        sample=PLAN.config["drift"]["images"],
        precision=PLAN.config["precision"],
        batch_size=uncounted(PLAN.config["drift"]["batch_size"]),
        resume=PLAN.state("activations/{dataset}/{model}/{drift}"),
    script:
        "../scripts/activations.py"
