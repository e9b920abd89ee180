"""Published inverted images as an image store."""

from mettle import flow, models
from mettle.stages.invert import published

with flow.job(snakemake) as job:
    published.write_published(
        snakemake.output.images,
        snakemake.output.manifest,
        snakemake.params.model,
        models.Evaluation.of(snakemake, job),
        snakemake.input.pairs,
        snakemake.params.lists,
    )
