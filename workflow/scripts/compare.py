"""Similarity of a model to each model above it in the sheet."""

from mettle import compare, flow, tables

with flow.job(snakemake) as job:
    first, second = compare.paired(snakemake.input.own, snakemake.input.others, snakemake.input.crossed)
    cell, told = snakemake.wildcards, snakemake.params
    rows = compare.similarities(
        first,
        second,
        {"dataset": cell.dataset, "measure": cell.measure} | told.pair,
        told.measure,
        told.permutations,
        told.floor,
        job.seed,
        lambda pairs: job.progress(pairs, "pairs"),
    )
    tables.write(snakemake.output[0], tables.COMPARE, rows, job.provenance)
