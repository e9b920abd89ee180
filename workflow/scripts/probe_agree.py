"""Agreement of a model with each model before it in a set, by their own heads and by probes."""

from mettle import flow, tables
from mettle.stages.probe import agreement

with flow.job(snakemake) as job:
    keys = dict(snakemake.params.pair) | {"dataset": snakemake.wildcards.dataset}
    rows = agreement.agreements(snakemake.input.own, snakemake.input.others, keys)
    tables.write(snakemake.output[0], tables.PROBE_AGREE, rows, job.provenance)
