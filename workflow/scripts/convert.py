"""Weights of a model, from its published checkpoint."""

from mettle import flow
from mettle.stages import train

with flow.job(snakemake) as job:
    told = snakemake.params
    train.convert(told.model | {"sha256": told.sha256}, told.recipe, snakemake.output.weights, job, said=told.said)
