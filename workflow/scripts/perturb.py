"""What an attack adds to images, as an image store."""

from mettle import data, flow
from mettle.attack import semantics

with flow.job(snakemake) as job:
    batches = semantics.perturbations(
        snakemake.input.weights,
        snakemake.input.images[0],
        dict(snakemake.wildcards),
        snakemake.params.attack,
        snakemake.params.sample,
        snakemake.params.precision,
        snakemake.params.batch_size,
        job,
    )
    data.write_perturbed(
        snakemake.output.images,
        snakemake.output.manifest,
        data.Store(snakemake.input.images[0]),
        batches,
        kind=snakemake.params.kind,
        eps=snakemake.params.attack["eps"],
        norm=snakemake.params.attack["norm"],
        provenance=job.provenance,
    )
