"""Attacked images of all updates of trainings of robustness tokens that differ only in what is trained."""

from mettle import flow
from mettle.stages.tokens.shared import share

with flow.job(snakemake) as job:
    share(
        snakemake.params.shared,
        snakemake.input.train[0],
        snakemake.input.base,
        snakemake.output.images,
        snakemake.output.table,
        snakemake.params.resume,
        job,
    )
