"""Figure 5, from its table."""

from mettle import flow, tables
from mettle.plot import fig5_subgroups, style

with flow.job(snakemake):
    table = tables.read(snakemake.input[0], tables.FIG5)
    style.save(fig5_subgroups.draw(table), *snakemake.output)
