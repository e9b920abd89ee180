"""A page that shows what is packed of one split of a data set."""

from mettle import flow
from mettle.stages import browse

with flow.job(snakemake) as job:
    browse.browse(
        snakemake.input[0],
        snakemake.output[0],
        snakemake.params.dataset,
        snakemake.wildcards.split,
        job.provenance,
    )
