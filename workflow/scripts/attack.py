"""Answers of a model to clean and attacked images, one row per image."""

from mettle import flow, schema, tables
from mettle.stages.attack import evaluate

with flow.job(snakemake) as job:
    keys = dict(snakemake.wildcards) | {"split": snakemake.params.split}
    columns = evaluate.evaluate(
        snakemake.input.weights,
        snakemake.input.images[0],
        keys,
        snakemake.params.attack,
        snakemake.params.precision,
        snakemake.params.batch_size,
        snakemake.params.resume,
        job,
    )
    tables.write(snakemake.output[0], tables.ATTACK, columns, job.provenance)
    options = schema.check(snakemake.config, "config", "configuration")["train"]  # loggers; no number depends on them
    evaluate.send(columns, snakemake.input.weights, snakemake.params.logs, options, job)
