"""A head of classification, from its published file or from another row."""

from mettle import flow
from mettle.stages import heads

with flow.job(snakemake) as job:
    told, given = snakemake.params, snakemake.input
    row = told.model | {"sha256": told.sha256}
    heads.convert(row, told.recipe, given.base[0], snakemake.output.weights, job, said=told.said)
