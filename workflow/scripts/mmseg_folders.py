"""NYU Depth v2 in folders as mmsegmentation looks for them."""

from mettle import flow
from mettle.stages import layouts

with flow.job(snakemake) as job:
    layouts.mmseg_folders(snakemake.params.dataset, snakemake.output[0], job.say)
