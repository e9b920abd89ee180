"""Weights of a segmenter or detector, trained from its recipe on the weights of a classifier."""

from mettle import flow, schema
from mettle.distributed import TrainingFiles
from mettle.stages.transfer import transfer

# Devices are read here and are no params: another number of them is no reason to train again.
with flow.job(snakemake) as job:
    told, options = snakemake.params, schema.check(snakemake.config, "config", "configuration")["train"]
    transfer(told.model, told.recipe, TrainingFiles.of(snakemake), job, options)
