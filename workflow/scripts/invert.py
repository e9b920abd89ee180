"""Images that a model represents like targets although they began as seeds, as an image store."""

from mettle import flow
from mettle.stages.invert import images

with flow.job(snakemake) as job:
    told = snakemake.params
    images.write_inverted(
        snakemake.output.images,
        snakemake.output.manifest,
        snakemake.input.weights,
        snakemake.input.images[0],
        snakemake.input.pairs,
        dict(snakemake.wildcards),
        told.options | {"batch_size": told.batch_size, "checkpoint_seconds": told.checkpoint_seconds},
        told.precision,
        told.resume,
        job,
    )
