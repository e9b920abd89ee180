"""What an attack adds to images, or the attacked images, as an image store."""

from mettle import data, flow
from mettle.evaluation import Evaluation
from mettle.stages.attack import semantics

with flow.job(snakemake) as job:
    told, evaluation = snakemake.params, Evaluation.of(snakemake, job)
    batches = semantics.perturbations(evaluation, told.attack, told.sample)
    clean, ball = data.Store(evaluation.images), (told.attack["eps"], told.attack["norm"])
    data.write_perturbed(*snakemake.output, clean, batches, snakemake.wildcards.kind, *ball, provenance=job.provenance)
