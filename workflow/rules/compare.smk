"""
Compares models: similarity of representations and of predictions with the models before them in a set, on natural and on
inverted images, on all of them and on parts.

INPUTS:   results/represent/{dataset}/{images}/{model}.parquet
          results/represent/{dataset}/crossed/{set}/{model}
          results/layers/{dataset}/{model}.parquet, results/layers/{dataset}/{model_b}.parquet
OUTPUTS:  results/compare/{dataset}/{set}/{images}/{measure}/{model}.parquet
          results/subgroups/{dataset}/{set}/{images}/{groups}/{measure}/{model}.parquet
          results/agree/{dataset}/{set}/{images}/{model}.parquet
          results/compare_layers/{dataset}/{measure}/{model}/{model_b}.parquet
"""


rule compare:
    """Score a model's similarity to each model before it in a set."""
    input:
        PLAN.represented,
    output:
        "<results>/compare/{dataset}/{set}/{images}/{measure}/{model}.parquet",
    log:
        "<logs>/compare/{dataset}/{set}/{images}/{measure}/{model}.log",
    benchmark:
        "<benchmarks>/compare/{dataset}/{set}/{images}/{measure}/{model}.tsv"
    wildcard_constraints:
        images="natural|inverted",
        measure=PLAN.pattern(PLAN.on_cpu),
    conda:
        "../../envs/compare.yaml"
    resources:
        mem_mb=ASKED.memory("compare"),
        runtime=ASKED.minutes("compare"),
    params:
        revision=5,
        seed=PLAN.seed_of_scores,
        measure=PLAN.measure,
        pair=PLAN.pairs,
        above=PLAN.names_above,
        permutations=PLAN.config["compare"]["permutations"],
        floor=PLAN.config["compare"]["floor"],
        level=PLAN.level_of_scores,
    script:
        "../scripts/compare.py"


rule subgroups:
    """Score the same similarity on two parts of the images: where the two models agree, for example, and the rest."""
    input:
        PLAN.represented,
    output:
        "<results>/subgroups/{dataset}/{set}/{images}/{groups}/{measure}/{model}.parquet",
    log:
        "<logs>/subgroups/{dataset}/{set}/{images}/{groups}/{measure}/{model}.log",
    benchmark:
        "<benchmarks>/subgroups/{dataset}/{set}/{images}/{groups}/{measure}/{model}.tsv"
    wildcard_constraints:
        images="natural|inverted",
        measure=PLAN.pattern(PLAN.on_cpu),
    conda:
        "../../envs/compare.yaml"
    resources:
        mem_mb=ASKED.memory("subgroups"),
        runtime=ASKED.minutes("subgroups"),
    params:
        revision=5,
        seed=PLAN.config["seed"],
        measure=PLAN.measure,
        pair=PLAN.pairs,
        above=PLAN.names_above,
        draws=PLAN.config["compare"]["draws"],
        few=PLAN.config["compare"]["few"],
    script:
        "../scripts/subgroups.py"


use rule compare as compare_gpu with:
    # The same for measures whose engine computes on a GPU; a profile gives its jobs one.
    input:
        PLAN.represented_for_gpu,
    wildcard_constraints:
        images="natural|inverted",
        measure=PLAN.pattern(PLAN.on_gpu),
    conda:
        "../../envs/compare_gpu.yaml"


use rule subgroups as subgroups_gpu with:
    # The same for measures whose engine computes on a GPU; a profile gives its jobs one.
    input:
        PLAN.represented_for_gpu,
    wildcard_constraints:
        images="natural|inverted",
        measure=PLAN.pattern(PLAN.on_gpu),
    conda:
        "../../envs/compare_gpu.yaml"


rule agree:
    """Score how similar the predictions of a model and of each model before it in a set are."""
    input:
        PLAN.represented,
    output:
        "<results>/agree/{dataset}/{set}/{images}/{model}.parquet",
    log:
        "<logs>/agree/{dataset}/{set}/{images}/{model}.log",
    benchmark:
        "<benchmarks>/agree/{dataset}/{set}/{images}/{model}.tsv"
    wildcard_constraints:
        images="natural|inverted",
    conda:
        "../../envs/compare.yaml"
    resources:
        mem_mb=ASKED.memory("agree"),
        runtime=ASKED.minutes("agree"),
    params:
        revision=1,
        pair=PLAN.pairs,
        above=PLAN.names_above,
    script:
        "../scripts/agree.py"


rule compare_layers:
    """Score the similarity of each layer of a model to each layer of the same or another model."""
    input:
        first="<results>/layers/{dataset}/{model}.parquet",
        second="<results>/layers/{dataset}/{model_b}.parquet",
    output:
        "<results>/compare_layers/{dataset}/{measure}/{model}/{model_b}.parquet",
    log:
        "<logs>/compare_layers/{dataset}/{measure}/{model}/{model_b}.log",
    benchmark:
        "<benchmarks>/compare_layers/{dataset}/{measure}/{model}/{model_b}.tsv"
    wildcard_constraints:
        model_b=PLAN.pattern(PLAN.models),
        measure=PLAN.pattern(PLAN.on_cpu),
    conda:
        "../../envs/compare.yaml"
    resources:
        mem_mb=ASKED.memory("compare_layers"),
        runtime=ASKED.minutes("compare_layers"),
    params:
        revision=1,
        measure=PLAN.measure,
    script:
        "../scripts/compare_layers.py"
