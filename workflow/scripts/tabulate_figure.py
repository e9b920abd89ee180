"""Rows of a figure or summary table, from its cells."""

from mettle import flow
from mettle.stages import tabulate

with flow.job(snakemake) as job:
    tabulate.tabulate(
        snakemake.wildcards.figure,
        snakemake.input.cells,
        snakemake.input.get("beside", []),
        snakemake.params.options | {"seed": job.seed},
        snakemake.output.table,
        snakemake.output.page,
        job.provenance,
    )
