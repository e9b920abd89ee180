"""Similarity of a model to each model before it in a set, on two parts of the images."""

from mettle import flow, tables
from mettle.stages import compare

with flow.job(snakemake) as job:
    cell, told = snakemake.wildcards, snakemake.params
    first, second = compare.paired(snakemake.input, cell.images, cell.model, told.above)
    rows = compare.subgroups(
        first,
        second,
        {"dataset": cell.dataset, "measure": cell.measure} | told.pair,
        told.measure,
        cell.groups,
        told.draws,
        told.few,
        job.seed,
        lambda pairs: job.progress(pairs, "pairs"),
    )
    tables.write(snakemake.output[0], tables.SUBGROUPS, rows, job.provenance)
