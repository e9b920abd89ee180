"""Largest activations of each block of a vision transformer, clean and under an attack on features."""

from mettle import flow, tables
from mettle.evaluation import Evaluation
from mettle.stages.drift.activations import Measured

with flow.job(snakemake) as job:
    told, cell, made = snakemake.params, snakemake.wildcards, snakemake.output
    keys = {"dataset": cell.dataset, "model": cell.model, "attack": cell.drift}
    keys |= {"split": told.split, "through": told.through}
    evaluation = Evaluation.of(snakemake, job)
    measured = Measured(evaluation, snakemake.input.through[0], keys, told.attack, told.sample)
    tables.stream(made.surface, tables.SURFACE, measured.surface(), job.provenance)
    tables.stream(made.largest, tables.ACTIVATIONS, measured.largest(told.resume), job.provenance)
