"""Loss of single images by steps and seed of PGD."""

from mettle import flow, tables
from mettle.evaluation import Evaluation
from mettle.stages.attack import convergence

with flow.job(snakemake) as job:
    keys = dict(snakemake.wildcards) | {"split": snakemake.params.split}
    rows = convergence.convergence(Evaluation.of(snakemake, job), keys, snakemake.params.options)
    tables.write(snakemake.output[0], tables.CONVERGENCE, rows, job.provenance)
