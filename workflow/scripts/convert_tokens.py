"""Robustness tokens, from their published file."""

from mettle import flow
from mettle.stages.tokens.convert import convert

with flow.job(snakemake) as job:
    told, given = snakemake.params, snakemake.input
    row = told.model | {"sha256": told.sha256}
    convert(row, told.recipe, given.base[0], snakemake.output.weights, job, said=told.said)
