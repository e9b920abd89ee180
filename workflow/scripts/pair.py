"""Seeds and targets of inversion, one row per target."""

from mettle import data, flow, tables
from mettle.stages.invert import pair

with flow.job(snakemake) as job:
    keys = {"dataset": snakemake.wildcards.dataset, "split": snakemake.params.split}
    columns = pair.pairs(data.Store(snakemake.input.images[0]), snakemake.params.images, job.seed, keys)
    tables.write(snakemake.output[0], tables.PAIRS, columns, job.provenance)
