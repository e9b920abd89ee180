"""Functional similarity of a model to each model above it."""

from mettle import compare, flow, tables

with flow.job(snakemake) as job:
    rows = compare.agreements(
        snakemake.input.first,
        snakemake.input.second,
        {"dataset": snakemake.wildcards.dataset} | snakemake.params.pair,
        lambda pairs: job.progress(pairs, "pairs"),
    )
    tables.write(snakemake.output[0], tables.AGREE, rows, job.provenance)
