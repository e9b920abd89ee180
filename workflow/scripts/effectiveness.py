"""Accuracy and loss under PGD, and under Auto-PGD, by training epoch, steps and seed."""

from mettle import flow, tables
from mettle.stages.attack import effectiveness

with flow.job(snakemake) as job:
    keys = dict(snakemake.wildcards) | {"split": snakemake.params.split}
    rows = effectiveness.effectiveness(
        snakemake.input.weights,
        snakemake.input.images[0],
        keys,
        snakemake.params.options,
        snakemake.params.precision,
        snakemake.params.batch_size,
        snakemake.params.resume,
        job,
    )
    tables.write(snakemake.output[0], tables.EFFECTIVENESS, rows, job.provenance)
