"""Page about a model, and the table of its scores."""

from mettle import flow, tables
from mettle.stages.cards import card, scores

with flow.job(snakemake) as job:
    told = snakemake.params.told | {"model": snakemake.wildcards.model, "seed": job.seed}
    rows = scores.scores_of(snakemake.params.files, told)
    tables.write(snakemake.output.table, tables.SCORES, rows, job.provenance)
    card.write(
        snakemake.output.page,
        tables.read(snakemake.output.table, tables.SCORES),
        snakemake.params.files,
        told | snakemake.params.others | {"missing": snakemake.params.missing},
        job.provenance,
    )
