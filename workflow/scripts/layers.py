"""Representation of held-out images by each layer of a model."""

from mettle import flow, tables
from mettle.evaluation import Evaluation
from mettle.stages import layers

with flow.job(snakemake) as job:
    told, cell = snakemake.params, snakemake.wildcards
    keys = {"dataset": cell.dataset, "images": "natural", "model": cell.model}
    parts = layers.extract(Evaluation.of(snakemake, job), keys, told.sample, told.layers, told.pool)
    # A group of rows per layer, so that one can be read without the others.
    tables.stream(snakemake.output[0], tables.LAYER_FEATURES, parts, job.provenance, group=1)
