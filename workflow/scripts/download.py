"""A remote source, as a local file."""

from mettle import flow
from mettle.stages import download

with flow.job(snakemake) as job:
    download.download(snakemake.params.about, snakemake.output[0], job)
