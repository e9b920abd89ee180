"""Rows of figure 5: scores of pairs on subgroups, and the tests of their contrasts."""

from mettle import compare, flow, tables

with flow.job(snakemake) as job:
    cells = tables.concat(snakemake.input, tables.SUBGROUPS)
    rows = compare.figure5(cells, snakemake.params.models, snakemake.params.resamples, job.seed)
    tables.write(snakemake.output.table, tables.FIG5, rows, job.provenance)
    table = tables.read(snakemake.output.table, tables.FIG5)
    tables.page(snakemake.output.page, tables.FIG5, table[table["model"] == "all"])
