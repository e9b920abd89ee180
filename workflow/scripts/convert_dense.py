"""Weights of a segmenter or detector, from its published checkpoint."""

from mettle import flow
from mettle.stages import transfer

with flow.job(snakemake) as job:
    told = snakemake.params
    row = told.model | {"sha256": told.sha256}
    transfer.convert(row, told.recipe, snakemake.output.weights, job, said=told.said)
