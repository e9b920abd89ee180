"""What an attack adds to images, or the attacked images, as an image store."""

from mettle import data, flow
from mettle.stages.attack import semantics

with flow.job(snakemake) as job:
    told = snakemake.params
    batches = semantics.perturbations(
        snakemake.input.weights,
        snakemake.input.images[0],
        dict(snakemake.wildcards),
        told.attack,
        told.sample,
        told.precision,
        told.batch_size,
        job,
    )
    clean, ball = data.Store(snakemake.input.images[0]), (told.attack["eps"], told.attack["norm"])
    data.write_perturbed(*snakemake.output, clean, batches, snakemake.wildcards.kind, *ball, provenance=job.provenance)
