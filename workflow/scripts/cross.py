"""What a model and each before it in a set make of each other's inverted images, one file per model and image set."""

from mettle import flow
from mettle.evaluation import Evaluation
from mettle.stages import represent

with flow.job(snakemake) as job:
    given, above = snakemake.input, snakemake.params.above
    represent.cross(
        snakemake.output[0],
        Evaluation.of(snakemake, job),
        represent.Inverted(snakemake.wildcards.model, given.weights, given.images, given.seen),
        list(map(represent.Inverted, above, given.weights_above, given.images_above, given.seen_above)),
        snakemake.params.resume,
    )
