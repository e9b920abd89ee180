"""Robustness tokens for the frozen network of a base."""

from mettle import flow, schema
from mettle.stages.tokens.loop import harden

# Devices are read here and are no params: another number of them is no reason to train again.
with flow.job(snakemake) as job:
    harden(
        snakemake.params.model,
        snakemake.params.recipe,
        snakemake.input.train[0],
        snakemake.input.base[0],
        snakemake.output.weights,
        snakemake.output.steps,
        snakemake.params.resume,
        job,
        shared=next(iter(snakemake.input.attacked), None),
        fabric=schema.check(snakemake.config, "config", "configuration")["train"],
    )
