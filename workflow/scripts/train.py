"""Weights of a model, trained from its recipe."""

from pathlib import Path

from mettle import flow, schema
from mettle.stages import train

# Devices and loggers are read here and are no params: another number of them is no reason to train again.
with flow.job(snakemake) as job:
    train.train(
        snakemake.params.model,
        snakemake.params.recipe,
        snakemake.input.train[0],
        snakemake.input.test[0],
        snakemake.output.weights,
        snakemake.output.epochs,
        snakemake.params.resume,
        job,
        checkpoints=snakemake.output.checkpoints,
        mixed=snakemake.input.get("mixed", []),
        base=snakemake.input.get("base", []),
        fabric=schema.check(snakemake.config, "config", "configuration")["train"],
        logs=Path(snakemake.params.logs).parent,
    )
