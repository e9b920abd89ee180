"""Weights of a model, from its published checkpoint."""

from mettle import flow, train

with flow.job(snakemake) as job:
    train.convert(snakemake.params.model, snakemake.params.recipe, snakemake.output.weights, job)
