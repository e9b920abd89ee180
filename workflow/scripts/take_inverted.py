"""Published inverted images as an image store."""

from mettle import flow
from mettle.evaluation import Evaluation
from mettle.stages.invert import published

with flow.job(snakemake) as job:
    published.write_published(
        snakemake.output.images,
        snakemake.output.manifest,
        snakemake.params.model,
        Evaluation.of(snakemake, job),
        snakemake.input.pairs,
        snakemake.params.lists,
    )
