"""Clean and attacked accuracy of all models, as one table."""

from mettle import flow, tables
from mettle.attack import summary

with flow.job(snakemake) as job:
    cells = tables.concat(snakemake.input, tables.ATTACK)
    tables.write(snakemake.output[0], tables.ACCURACY, summary.summarise(cells), job.provenance)
