"""Similarity of a model to each model above it, on two parts of the images."""

from mettle import compare, flow, tables

with flow.job(snakemake) as job:
    first, second = compare.paired(snakemake.input.own, snakemake.input.others, snakemake.input.crossed)
    cell, told = snakemake.wildcards, snakemake.params
    rows = compare.subgroups(
        first,
        second,
        {"dataset": cell.dataset, "measure": cell.measure} | told.pair,
        told.measure,
        cell.groups,
        told.draws,
        job.seed,
        lambda pairs: job.progress(pairs, "pairs"),
    )
    tables.write(snakemake.output[0], tables.SUBGROUPS, rows, job.provenance)
