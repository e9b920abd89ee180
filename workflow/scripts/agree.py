"""Functional similarity of a model to each model before it in a set."""

from mettle import flow, tables
from mettle.stages import compare

with flow.job(snakemake) as job:
    cell, told = snakemake.wildcards, snakemake.params
    first, second = compare.paired(snakemake.input, cell.images, cell.model, told.above)
    rows = compare.agreements(
        first,
        second,
        {"dataset": cell.dataset} | told.pair,
        lambda pairs: job.progress(pairs, "pairs"),
    )
    tables.write(snakemake.output[0], tables.AGREE, rows, job.provenance)
