"""Similarity of each layer of a model to each layer of the same or another model."""

from mettle import flow, tables
from mettle.stages.compare import layers

with flow.job(snakemake) as job:
    cell, given = snakemake.wildcards, snakemake.input
    keys = {key: cell[key] for key in ("dataset", "model", "model_b", "measure")} | {"images": "natural"}
    rows = layers.similarities(
        given.first, given.second, keys, snakemake.params.measure, lambda lines: job.progress(lines, "layers")
    )
    tables.write(snakemake.output[0], tables.LAYER_SIMILARITY, rows, job.provenance)
