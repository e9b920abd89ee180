"""What a model and each before it in a set make of each other's inverted images, one file per model and image set."""

from mettle import flow
from mettle.stages import represent

with flow.job(snakemake) as job:
    given = snakemake.input
    represent.cross(
        snakemake.output[0],
        represent.Inverted(given.weights, given.images, given.seen),
        list(map(represent.Inverted, given.weights_above, given.images_above, given.seen_above)),
        snakemake.wildcards.dataset,
        snakemake.params.precision,
        snakemake.params.batch_size,
        snakemake.params.resume,
        job,
    )
