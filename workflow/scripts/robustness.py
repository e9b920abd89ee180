"""Scores of a model under a set of corruptions, with intervals."""

from mettle import flow, tables
from mettle.stages.corrupt import robustness

with flow.job(snakemake) as job:
    told = snakemake.params
    reference = next(iter(snakemake.input.get("reference", [])), None)
    asked = told.task, told.corruptions["types"], told.corruptions["severities"], told.draws
    rows = robustness.summarise(snakemake.input.cells, *asked, job.seed, reference)
    tables.write(snakemake.output[0], tables.ROBUSTNESS, rows, job.provenance)
