"""Logits, predictions and features of a model on an image set, one row per image."""

from mettle import flow, tables
from mettle.stages import represent

with flow.job(snakemake) as job:
    parts = represent.extract(
        snakemake.input.weights,
        snakemake.input.images[0],
        dict(snakemake.wildcards),
        snakemake.params.sample,
        snakemake.params.precision,
        snakemake.params.batch_size,
        job,
    )
    tables.stream(snakemake.output[0], tables.REPRESENT, parts, job.provenance)
