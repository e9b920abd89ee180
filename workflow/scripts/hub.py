"""A model as a folder that Hugging Face takes: weights and configuration of timm, and a card."""

from mettle import flow
from mettle.stages.train import hub

with flow.job(snakemake) as job:
    read, told = snakemake.input, snakemake.params
    hub.write(read.weights, list(read.cells), told.said, snakemake.output[0], job)
