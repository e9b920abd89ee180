"""Heads of classification on the frozen network of a base."""

from mettle import flow, schema
from mettle.stages.heads import fit

# The time between two writes of the state is read here and is no param: it changes no result.
with flow.job(snakemake) as job:
    fit(
        snakemake.params.model,
        snakemake.params.recipe,
        snakemake.input.train[0],
        snakemake.input.base[0],
        snakemake.output.weights,
        snakemake.output.heads,
        snakemake.params.resume,
        job,
        checkpoint_seconds=schema.check(snakemake.config, "config", "configuration")["train"]["checkpoint_seconds"],
    )
