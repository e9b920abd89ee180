"""Images that a model represents like targets although they began as seeds, as an image store."""

from mettle import flow
from mettle.invert import images

with flow.job(snakemake) as job:
    images.write_inverted(
        snakemake.output.images,
        snakemake.output.manifest,
        snakemake.input.weights,
        snakemake.input.images[0],
        snakemake.input.pairs,
        dict(snakemake.wildcards),
        snakemake.params.options | {"batch_size": snakemake.params.batch_size},
        snakemake.params.precision,
        snakemake.params.resume,
        job,
    )
