"""Weights of a segmenter or detector, trained from its recipe on the weights of a classifier."""

from mettle import flow, schema
from mettle.stages.transfer import transfer

# Devices are read here and are no params: another number of them is no reason to train again.
with flow.job(snakemake) as job:
    transfer(
        snakemake.params.model,
        snakemake.params.recipe,
        snakemake.input.train[0],
        snakemake.input.test[0],
        snakemake.output.weights,
        snakemake.output.epochs,
        snakemake.params.resume,
        job,
        base=snakemake.input.get("base", []),
        fabric=schema.check(snakemake.config, "config", "configuration")["train"],
    )
