"""A data set with all its splits, as a data set of TensorFlow Datasets."""

from mettle import flow
from mettle.stages import publish

with flow.job(snakemake) as job:
    publish.publish(
        snakemake.params.dataset,
        snakemake.input,
        snakemake.output[0],
        progress=lambda images: job.progress(images, "images"),
    )
