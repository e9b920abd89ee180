"""Answers of several models to the perturbations against one."""

from mettle import flow, tables
from mettle.evaluation import Evaluation
from mettle.stages.attack import semantics

with flow.job(snakemake) as job:
    keys = dict(snakemake.wildcards) | snakemake.params.ball
    judges = dict(zip(snakemake.params.judges, snakemake.input.judges, strict=True))
    columns = semantics.classify(judges, Evaluation.of(snakemake, job), keys)
    tables.write(snakemake.output[0], tables.SEMANTICS, columns, job.provenance)
