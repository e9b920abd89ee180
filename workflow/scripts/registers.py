"""DINOv2 with robustness tokens as a file of its authors, in which the tokens are registers."""

from mettle import flow
from mettle.stages.tokens.convert import registers

with flow.job(snakemake):
    registers(snakemake.input.weights, snakemake.output.weights, snakemake.output.config)
