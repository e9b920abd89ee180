"""Example images of a data set under every corruption of a set."""

from mettle import flow, tables
from mettle.stages.corrupt import examples

with flow.job(snakemake) as job:
    images, dataset = snakemake.input.images[0], snakemake.wildcards.dataset
    rows = examples.shown(images, dataset, snakemake.params.corruptions, job.seed, job.progress)
    tables.write(snakemake.output[0], tables.EXAMPLES, rows, job.provenance)
