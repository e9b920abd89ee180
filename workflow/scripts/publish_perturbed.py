"""What an attack adds to images, as a data set of TensorFlow Datasets."""

from mettle import flow
from mettle.stages import publish

with flow.job(snakemake) as job:
    publish.publish_perturbed(
        snakemake.params.dataset,
        snakemake.input.images,
        snakemake.wildcards.model,
        snakemake.wildcards.attack,
        snakemake.output[0],
        progress=lambda images: job.progress(images, "images"),
    )
