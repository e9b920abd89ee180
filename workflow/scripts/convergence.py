"""Loss of single images by steps and seed of PGD."""

from mettle import flow, tables
from mettle.stages.attack import convergence

with flow.job(snakemake) as job:
    keys = dict(snakemake.wildcards) | {"split": snakemake.params.split}
    rows = convergence.convergence(
        snakemake.input.weights,
        snakemake.input.images[0],
        keys,
        snakemake.params.options,
        snakemake.params.precision,
        snakemake.params.batch_size,
        job,
    )
    tables.write(snakemake.output[0], tables.CONVERGENCE, rows, job.provenance)
