"""Linear probes on the features of a model: their training by epoch, and their answers, one row per image."""

from mettle import flow, tables
from mettle.stages.probe import training

with flow.job(snakemake) as job:
    keys, files, options = dict(snakemake.wildcards), dict(snakemake.input), snakemake.params.options
    probes, epochs = training.train(files, keys, options, snakemake.params.classes, job)
    answers = training.answers(probes, files, keys, options["batch_size"])
    tables.stream(snakemake.output.answers, tables.PROBE, answers, job.provenance)
    tables.write(snakemake.output.epochs, tables.PROBE_EPOCHS, epochs, job.provenance)
