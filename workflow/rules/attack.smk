"""
Attacks models: every held-out image clean and attacked, and studies of attacks over steps, epochs and models.

INPUTS:   results/train/{model}/weights.safetensors, results/train/{model}/checkpoints
          results/prep/{dataset}/{split}.lmdb (and .parquet, and .targets.lmdb for models of dense tasks)
          results/perturb/perturbation/{dataset}/{model}/{attack}.lmdb
          results/perturb/perturbation/{dataset}/{model}/{attack}.parquet
OUTPUTS:  results/attack/{dataset}/{model}/{attack}.parquet
          results/pictures/{dataset}/{model}/{attack}.parquet
          results/effectiveness/{dataset}/{model}.parquet
          results/convergence/{dataset}/{model}.parquet
          results/perturb/{kind}/{dataset}/{model}/{attack}.lmdb
          results/perturb/{kind}/{dataset}/{model}/{attack}.parquet
          results/semantics/{dataset}/{model}/{attack}.parquet
"""


rule attack:
    """Attack a model on the held-out images of its data set, one row per image."""
    input:
        weights="results/train/{model}/weights.safetensors",
        base=PLAN.stands_on,
        through=PLAN.surrogate,
        images=ancient(images_of(PLAN.scored_store)),
        manifest=manifests_of(PLAN.scored_store),
        targets=ancient(PLAN.clean_targets),
    output:
        "<results>/attack/{dataset}/{model}/{attack}.parquet",
    log:
        "<logs>/attack/{dataset}/{model}/{attack}.log",
    benchmark:
        "<benchmarks>/attack/{dataset}/{model}/{attack}.tsv"
    conda:
        "../../envs/attack.yaml"
    resources:
        mem_mb=ASKED.memory("attack"),
        runtime=ASKED.minutes("attack"),
    params:
        revision=2,
        seed=PLAN.config["seed"],
        split=PLAN.test_split,
        attack=PLAN.attack,
        precision=PLAN.config["precision"],
        batch_size=uncounted(PLAN.config["attack"]["batch_size"]),
        resume=PLAN.state("attack/{dataset}/{model}/{attack}"),
        logs=uncounted("logs/train"),
    script:
        "../scripts/attack.py"


rule pictures:
    """Draw some held-out images of a dense task with their targets, and what a model makes of them, clean and attacked."""
    input:
        weights="results/train/{model}/weights.safetensors",
        base=PLAN.stands_on,
        through=PLAN.surrogate,
        images=ancient(images_of(PLAN.scored_store)),
        manifest=manifests_of(PLAN.scored_store),
        targets=ancient(PLAN.clean_targets),
    output:
        "<results>/pictures/{dataset}/{model}/{attack}.parquet",
    log:
        "<logs>/pictures/{dataset}/{model}/{attack}.log",
    benchmark:
        "<benchmarks>/pictures/{dataset}/{model}/{attack}.tsv"
    wildcard_constraints:
        model=PLAN.pattern(PLAN.pictured),
    conda:
        "../../envs/attack.yaml"
    resources:
        mem_mb=ASKED.memory("pictures"),
        runtime=ASKED.minutes("pictures"),
    params:
        revision=1,
        seed=PLAN.config["seed"],
        split=PLAN.test_split,
        attack=PLAN.pictured_attack,
        images=PLAN.config["attack"]["pictures"],
        precision=PLAN.config["precision"],
        batch_size=uncounted(PLAN.config["attack"]["batch_size"]),
    script:
        "../scripts/pictures.py"


rule effectiveness:
    """Attack the checkpoints of a training by PGD with few and with many steps, and by Auto-PGD."""
    input:
        weights=PLAN.kept_weights,
        base=PLAN.stands_on,
        images=ancient(images_of(PLAN.classified_store)),
        manifest=manifests_of(PLAN.classified_store),
    output:
        "<results>/effectiveness/{dataset}/{model}.parquet",
    log:
        "<logs>/effectiveness/{dataset}/{model}.log",
    benchmark:
        "<benchmarks>/effectiveness/{dataset}/{model}.tsv"
    conda:
        "../../envs/attack.yaml"
    resources:
        mem_mb=ASKED.memory("effectiveness"),
        runtime=ASKED.minutes("effectiveness"),
    params:
        revision=3,
        seed=PLAN.config["seed"],
        split=PLAN.test_split,
        options=PLAN.config["attack"]["effectiveness"],
        precision=PLAN.config["precision"],
        batch_size=uncounted(PLAN.config["attack"]["batch_size"]),
        resume=PLAN.state("effectiveness/{dataset}/{model}"),
    script:
        "../scripts/effectiveness.py"


rule convergence:
    """Follow the loss of single images over the steps and random starts of PGD."""
    input:
        weights="results/train/{model}/weights.safetensors",
        base=PLAN.stands_on,
        images=ancient(images_of(PLAN.classified_store)),
        manifest=manifests_of(PLAN.classified_store),
    output:
        "<results>/convergence/{dataset}/{model}.parquet",
    log:
        "<logs>/convergence/{dataset}/{model}.log",
    benchmark:
        "<benchmarks>/convergence/{dataset}/{model}.tsv"
    conda:
        "../../envs/attack.yaml"
    resources:
        mem_mb=ASKED.memory("convergence"),
        runtime=ASKED.minutes("convergence"),
    params:
        revision=2,
        seed=PLAN.config["seed"],
        split=PLAN.test_split,
        options=PLAN.config["attack"]["convergence"],
        precision=PLAN.config["precision"],
        batch_size=uncounted(PLAN.config["attack"]["batch_size"]),
    script:
        "../scripts/convergence.py"


rule perturb:
    """Store the perturbations of held-out images by an attack, or the attacked images, as an image store."""
    input:
        weights="results/train/{model}/weights.safetensors",
        base=PLAN.stands_on,
        images=ancient(images_of(PLAN.classified_store)),
        manifest=manifests_of(PLAN.classified_store),
    output:
        images="<results>/perturb/{kind}/{dataset}/{model}/{attack}.lmdb",
        manifest="<results>/perturb/{kind}/{dataset}/{model}/{attack}.parquet",
    log:
        "<logs>/perturb/{kind}/{dataset}/{model}/{attack}.log",
    benchmark:
        "<benchmarks>/perturb/{kind}/{dataset}/{model}/{attack}.tsv"
    conda:
        "../../envs/attack.yaml"
    resources:
        mem_mb=ASKED.memory("perturb"),
        runtime=ASKED.minutes("perturb"),
    params:
        revision=2,
        seed=PLAN.config["seed"],
        attack=PLAN.attack_through_itself,
        sample=PLAN.config["attack"]["perturbations"]["images"],
        precision=PLAN.config["precision"],
        batch_size=uncounted(PLAN.config["attack"]["batch_size"]),
    script:
        "../scripts/perturb.py"


rule semantics:
    """Classify the perturbations against one model by other models."""
    input:
        judges=PLAN.weights_of_judges,
        base=PLAN.bases_of_judges,
        images=ancient("<results>/perturb/perturbation/{dataset}/{model}/{attack}.lmdb"),
        manifest="<results>/perturb/perturbation/{dataset}/{model}/{attack}.parquet",
    output:
        "<results>/semantics/{dataset}/{model}/{attack}.parquet",
    log:
        "<logs>/semantics/{dataset}/{model}/{attack}.log",
    benchmark:
        "<benchmarks>/semantics/{dataset}/{model}/{attack}.tsv"
    conda:
        "../../envs/attack.yaml"
    resources:
        mem_mb=ASKED.memory("semantics"),
        runtime=ASKED.minutes("semantics"),
    params:
        revision=2,
        ball=PLAN.ball,
        judges=uncounted(PLAN.judges),
        precision=PLAN.config["precision"],
        batch_size=uncounted(PLAN.config["attack"]["batch_size"]),
    script:
        "../scripts/semantics.py"
