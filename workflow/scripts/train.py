"""Weights of a model, trained from its recipe."""

from mettle import flow, schema
from mettle.distributed import TrainingFiles
from mettle.stages import train

# Devices and loggers are read here and are no params: another number of them is no reason to train again.
with flow.job(snakemake) as job:
    told, options = snakemake.params, schema.check(snakemake.config, "config", "configuration")["train"]
    train.train(told.model, told.recipe, TrainingFiles.of(snakemake), job, options)
