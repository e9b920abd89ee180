"""One split of a data set, packed as an image store."""

from mettle import flow
from mettle.stages import prep

with flow.job(snakemake) as job:
    prep.record(snakemake.input, snakemake.params.record)
    prep.prepare(
        prep.placed(snakemake.params.dataset, snakemake.input),
        snakemake.wildcards.split,
        snakemake.output.images,
        snakemake.output.manifest,
        seed=job.seed,
        provenance=job.provenance,
        progress=lambda items: job.progress(items, "images"),
        say=job.say,
    )
