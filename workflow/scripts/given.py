"""A source that is not there: the sentence that says so."""

from mettle import flow
from mettle.stages import download

with flow.job(snakemake):
    download.refuse(snakemake.params.sentence)
