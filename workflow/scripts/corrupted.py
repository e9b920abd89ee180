"""Held-out images of a data set under one corruption, as an image store."""

from mettle import flow
from mettle.stages.corrupt import stores

with flow.job(snakemake) as job:
    stores.write(
        snakemake.input.images[0],
        snakemake.output.images,
        snakemake.output.manifest,
        snakemake.params.corruption,
        snakemake.wildcards.dataset,
        job.seed,
        provenance=job.provenance,
        progress=lambda items, total: job.progress(items, "images", total),
    )
