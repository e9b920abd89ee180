"""Similarity of a model to each model above it, on images where the two agree and where they disagree."""

from mettle import compare, flow, tables

with flow.job(snakemake) as job:
    cell, params = snakemake.wildcards, snakemake.params
    keys = {"dataset": cell.dataset, "images": cell.images, "measure": cell.measure} | params.pair
    rows = compare.subgroups(snakemake.input.own, snakemake.input.others, keys, params.measure, params.draws, job.seed)
    tables.write(snakemake.output[0], tables.SUBGROUPS, rows, job.provenance)
