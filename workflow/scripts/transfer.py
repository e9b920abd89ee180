"""Weights of a segmenter or detector, trained from its recipe on the weights of a classifier."""

from mettle import flow, schema
from mettle.stages.transfer import transfer

# The time between two writes of the state is read here and is no param: it changes no result.
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
        checkpoint_seconds=schema.check(snakemake.config, "config", "configuration")["train"]["checkpoint_seconds"],
    )
