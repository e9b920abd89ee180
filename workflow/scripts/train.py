"""Weights of a model, trained from its recipe."""

from mettle import flow, train

with flow.job(snakemake) as job:
    train.train(
        snakemake.params.model,
        snakemake.params.recipe,
        snakemake.input.train[0],
        snakemake.input.test[0],
        snakemake.output.weights,
        snakemake.output.epochs,
        snakemake.params.resume,
        job,
        checkpoints=snakemake.output.checkpoints,
        mixed=snakemake.input.get("mixed", []),
        base=snakemake.input.get("base", []),
        fabric=snakemake.params.fabric,
        logs=snakemake.params.logs,
    )
