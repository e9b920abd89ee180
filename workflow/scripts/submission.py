"""A model in the form of RobustBench's submissions, and its answers for every image."""

from mettle import flow
from mettle.stages.tabulate import submission

with flow.job(snakemake) as job:
    out = snakemake.output
    submission.write(snakemake.input, snakemake.params.facts, out.submission, out.masks, job)
