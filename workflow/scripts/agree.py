"""Functional similarity of a model to each model above it."""

from mettle import compare, flow, tables

with flow.job(snakemake) as job:
    first, second = compare.paired(snakemake.input.own, snakemake.input.others, snakemake.input.crossed)
    rows = compare.agreements(
        first,
        second,
        {"dataset": snakemake.wildcards.dataset} | snakemake.params.pair,
        lambda pairs: job.progress(pairs, "pairs"),
    )
    tables.write(snakemake.output[0], tables.AGREE, rows, job.provenance)
