"""Clean and attacked accuracy of all models, as one table."""

from mettle import flow, tables
from mettle.attack import summary

with flow.job(snakemake) as job:
    cells = tables.concat(snakemake.input, tables.ATTACK)
    tables.write(snakemake.output.table, tables.ACCURACY, summary.summarise(cells), job.provenance)
    tables.page(snakemake.output.page, tables.ACCURACY, tables.read(snakemake.output.table, tables.ACCURACY))
