"""Similarity of a model to each model before it in a set."""

from mettle import flow, tables
from mettle.stages import compare

with flow.job(snakemake) as job:
    cell, told = snakemake.wildcards, snakemake.params
    first, second = compare.paired(snakemake.input, cell.images, cell.model, told.above)
    rows = compare.similarities(
        first,
        second,
        {"dataset": cell.dataset, "measure": cell.measure} | told.pair,
        told.measure,
        told.permutations,
        told.floor,
        job.seed,
        lambda pairs: job.progress(pairs, "pairs"),
        told.level,
    )
    tables.write(snakemake.output[0], tables.COMPARE, rows, job.provenance)
