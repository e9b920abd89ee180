"""A source that is not there: the sentence that says so."""

from mettle import download, flow

with flow.job(snakemake):
    download.refuse(snakemake.params.sentence)
