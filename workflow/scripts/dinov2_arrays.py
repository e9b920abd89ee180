"""Arrays that DINOv2 reads beside an ImageNet-like folder."""

from mettle import flow
from mettle.stages import layouts

with flow.job(snakemake) as job:
    layouts.dinov2_arrays(snakemake.params.dataset, snakemake.output[0], job.say)
