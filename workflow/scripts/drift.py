"""How far an attack moves the features of a model, one row per image."""

from mettle import flow, tables
from mettle.evaluation import Evaluation
from mettle.stages.drift.features import drift

with flow.job(snakemake) as job:
    told, wildcards = snakemake.params, snakemake.wildcards
    keys = {key: wildcards[key] for key in ("dataset", "model")} | {"attack": wildcards.drift}
    keys |= {"split": told.split, "through": told.through}
    weights = {"through": snakemake.input.through[0], "base": snakemake.input.base[0]}
    evaluation = Evaluation.of(snakemake, job)
    columns = drift(evaluation, weights, keys, told.attack, told.sample, told.resume)
    tables.write(snakemake.output[0], tables.DRIFT, columns, job.provenance)
