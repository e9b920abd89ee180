"""Images that a model represents like targets although they began as seeds, as an image store."""

from mettle import flow
from mettle.evaluation import Evaluation
from mettle.stages.invert import images

with flow.job(snakemake) as job:
    told = snakemake.params
    images.write_inverted(
        snakemake.output.images,
        snakemake.output.manifest,
        Evaluation.of(snakemake, job),
        snakemake.input.pairs,
        told.options | {"checkpoint_seconds": told.checkpoint_seconds},
        told.resume,
    )
