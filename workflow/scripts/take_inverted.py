"""Published inverted images as an image store."""

from mettle import flow
from mettle.stages.invert import published

with flow.job(snakemake) as job:
    published.write_published(
        snakemake.output.images,
        snakemake.output.manifest,
        snakemake.params.model,
        snakemake.input.weights,
        snakemake.input.images[0],
        snakemake.input.pairs,
        snakemake.params.lists["targets"],
        snakemake.params.lists["order"],
        snakemake.params.precision,
        snakemake.params.batch_size,
        job,
    )
