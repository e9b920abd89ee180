"""
Pages about models, made from what exists of each and forcing nothing new, unless `cards.complete` asks for all.

INPUTS:   cells of the rules attack, robustness, drift, compare, agree, pictures, perturb, invert, corrupt, examples, as far as
          they exist
OUTPUTS:  results/cards/{model}.html, results/cards/{model}.parquet
          results/leaderboard.html, results/leaderboard.parquet
"""


rule model_card:
    """Show everything that was measured of a model on a page, and write its scores as a table."""
    input:
        PLAN.completing,
    output:
        page="<results>/cards/{model}.html",
        table="<results>/cards/{model}.parquet",
    log:
        "<logs>/cards/{model}.log",
    benchmark:
        "<benchmarks>/cards/{model}.tsv"
    conda:
        "../../envs/cards.yaml"
    resources:
        mem_mb=ASKED.memory("model_card"),
        runtime=ASKED.minutes("model_card"),
    params:
        revision=1,
        seed=PLAN.config["seed"],
        state=PLAN.card_state,
        told=PLAN.card_told,
        files=uncounted(PLAN.card_files),
        others=uncounted(PLAN.others),
        missing=uncounted(PLAN.not_made),
    script:
        "../scripts/model_card.py"


rule leaderboard:
    """Show all models side by side, with the ranks that their images support, and write their scores as a table."""
    input:
        PLAN.completing_all,
    output:
        page="<results>/leaderboard.html",
        table="<results>/leaderboard.parquet",
    log:
        "<logs>/leaderboard.log",
    benchmark:
        "<benchmarks>/leaderboard.tsv"
    conda:
        "../../envs/cards.yaml"
    resources:
        mem_mb=ASKED.memory("leaderboard"),
        runtime=ASKED.minutes("leaderboard"),
    params:
        revision=1,
        seed=PLAN.config["seed"],
        state=PLAN.ranked_state,
        told=PLAN.ranked_told,
        files=uncounted(PLAN.ranked_files),
    script:
        "../scripts/leaderboard.py"
