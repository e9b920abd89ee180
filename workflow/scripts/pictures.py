"""Images of a dense task with their targets, and what a model makes of them, clean and attacked."""

from mettle import flow, tables
from mettle.evaluation import Evaluation
from mettle.stages.attack.pictures import pictures

with flow.job(snakemake) as job:
    told, keys = snakemake.params, dict(snakemake.wildcards) | {"split": snakemake.params.split}
    through = next(iter(snakemake.input.get("through", [])), None)
    rows = pictures(Evaluation.of(snakemake, job), keys, told.attack, told.images, through)
    tables.write(snakemake.output[0], tables.PICTURES, rows, job.provenance)
