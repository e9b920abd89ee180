"""Heads of classification on the frozen network of a base."""

from mettle import flow, schema
from mettle.distributed import TrainingFiles
from mettle.stages.heads import fit

# The time between two writes of the state is read here and is no param: it changes no result.
with flow.job(snakemake) as job:
    told, options = snakemake.params, schema.check(snakemake.config, "config", "configuration")["train"]
    fit(told.model, told.recipe, TrainingFiles.of(snakemake), job, options["checkpoint_seconds"])
