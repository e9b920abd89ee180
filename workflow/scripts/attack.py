"""Answers of a model to clean and attacked images, one row per image."""

from mettle import flow, schema, tables
from mettle.evaluation import Evaluation
from mettle.stages.attack import evaluate

with flow.job(snakemake) as job:
    told, keys = snakemake.params, dict(snakemake.wildcards) | {"split": snakemake.params.split}
    through = next(iter(snakemake.input.get("through", [])), None)
    columns = evaluate.evaluate(Evaluation.of(snakemake, job), keys, told.attack, told.resume, through)
    tables.write(snakemake.output[0], evaluate.table(snakemake.input.weights), columns, job.provenance)
    options = schema.check(snakemake.config, "config", "configuration")["train"]  # loggers; no number depends on them
    evaluate.send(columns, snakemake.input.weights, told.logs, options, job)
