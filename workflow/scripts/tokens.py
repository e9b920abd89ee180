"""Robustness tokens for the frozen network of a base."""

from mettle import flow, schema
from mettle.distributed import TrainingFiles
from mettle.stages.tokens.loop import harden

# Devices are read here and are no params: another number of them is no reason to train again.
with flow.job(snakemake) as job:
    told, options = snakemake.params, schema.check(snakemake.config, "config", "configuration")["train"]
    harden(told.model, told.recipe, TrainingFiles.of(snakemake), job, options)
