"""Weights of a segmenter, detector or head of such a task, from its published file."""

from mettle import flow
from mettle.stages import transfer

with flow.job(snakemake) as job:
    told = snakemake.params
    row = told.model | {"sha256": told.sha256}
    base = snakemake.input.get("base", [])
    transfer.convert(row, told.recipe, snakemake.output.weights, job, base=base, said=told.said)
