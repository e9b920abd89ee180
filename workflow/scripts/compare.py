"""Similarity of a model to each model above it in the sheet."""

from mettle import compare, flow, tables

with flow.job(snakemake) as job:
    cell = snakemake.wildcards
    keys = {"dataset": cell.dataset, "images": cell.images, "measure": cell.measure} | snakemake.params.pair
    rows = compare.similarities(snakemake.input.own, snakemake.input.others, keys, snakemake.params.measure)
    tables.write(snakemake.output[0], tables.COMPARE, rows, job.provenance)
