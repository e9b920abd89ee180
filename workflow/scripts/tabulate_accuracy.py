"""Clean and attacked accuracy of all models, as one table."""

from mettle import attack, flow, tables

with flow.job(snakemake) as job:
    cells = tables.concat(snakemake.input, tables.ATTACK)
    tables.write(snakemake.output[0], tables.ACCURACY, attack.summarise(cells), job.provenance)
