"""Card of a model, from the metadata of its weights and what its row says."""

from mettle import flow
from mettle.stages.train import card

with flow.job(snakemake):
    card.write(snakemake.input[0], snakemake.params.said, snakemake.output[0])
