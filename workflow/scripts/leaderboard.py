"""Page about all models, and the table of their scores."""

from mettle import flow, tables
from mettle.stages.cards import leaderboard, scores

with flow.job(snakemake) as job:
    files, told = snakemake.params.files, snakemake.params.told
    rows = [
        row
        for model, about in told.items()
        for row in scores.scores_of(files[model], about | {"model": model, "seed": job.seed})
    ]
    tables.write(snakemake.output.table, tables.SCORES, rows, job.provenance)
    scored = tables.read(snakemake.output.table, tables.SCORES)
    leaderboard.write(snakemake.output.page, scored, told, job.seed, job.provenance)
