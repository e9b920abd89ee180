"""Logits, predictions and features of a model on an image set, one row per image."""

from mettle import flow, tables
from mettle.evaluation import Evaluation
from mettle.stages import represent

with flow.job(snakemake) as job:
    evaluation = Evaluation.of(snakemake, job)
    parts = represent.extract(evaluation, dict(snakemake.wildcards), snakemake.params.sample)
    tables.stream(snakemake.output[0], tables.REPRESENT, parts, job.provenance)
