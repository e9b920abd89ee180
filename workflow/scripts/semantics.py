"""Answers of several models to the perturbations against one."""

from mettle import flow, tables
from mettle.stages.attack import semantics

with flow.job(snakemake) as job:
    keys = dict(snakemake.wildcards) | snakemake.params.ball
    columns = semantics.classify(
        dict(zip(snakemake.params.judges, snakemake.input.judges, strict=True)),
        snakemake.input.images,
        keys,
        snakemake.params.precision,
        snakemake.params.batch_size,
        job,
    )
    tables.write(snakemake.output[0], tables.SEMANTICS, columns, job.provenance)
