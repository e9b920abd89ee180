"""What a model and each model above it make of images inverted through the other, one file per model and image set."""

from mettle import flow, represent

with flow.job(snakemake) as job:
    represent.cross(
        snakemake.output[0],
        (snakemake.input.weights, snakemake.input.images),
        list(zip(snakemake.input.weights_above, snakemake.input.images_above, strict=True)),
        snakemake.wildcards.dataset,
        snakemake.params.precision,
        snakemake.params.batch_size,
        snakemake.params.resume,
        job,
    )
