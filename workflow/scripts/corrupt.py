"""Answers of a model to corrupted images, one row per image, corruption and severity."""

from mettle import flow, tables
from mettle.evaluation import Evaluation
from mettle.stages.corrupt import evaluate

with flow.job(snakemake) as job:
    told, given = snakemake.params, snakemake.input
    keys = {key: snakemake.wildcards[key] for key in ("dataset", "model")} | {"split": told.split}
    stored = [path for path in given.get("corrupted", []) if path.endswith(".lmdb")]
    published = (told.corruptions["reader"], given.published[0]) if given.get("published") else None
    work = Evaluation.of(snakemake, job), keys, told.corruptions, told.resume
    table, columns = evaluate.evaluate(*work, stored, published)
    tables.write(snakemake.output[0], table, columns, job.provenance)
