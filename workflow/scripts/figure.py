"""A figure, from its table."""

from mettle import flow
from mettle.stages import plot

with flow.job(snakemake):
    plot.draw(snakemake.wildcards.figure, snakemake.input[0], *snakemake.output)
