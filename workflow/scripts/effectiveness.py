"""Accuracy and loss under PGD, and under Auto-PGD, by training epoch, steps and seed."""

from mettle import flow, tables
from mettle.evaluation import Evaluation
from mettle.stages.attack import effectiveness

with flow.job(snakemake) as job:
    told, keys = snakemake.params, dict(snakemake.wildcards) | {"split": snakemake.params.split}
    rows = effectiveness.effectiveness(Evaluation.of(snakemake, job), keys, told.options, told.resume)
    tables.write(snakemake.output[0], tables.EFFECTIVENESS, rows, job.provenance)
